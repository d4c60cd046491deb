"""Accelerators by NVML: how busy they are, their memory, power and energy."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeVar, cast

import pynvml  # type: ignore[import-untyped]  # the package ships no types

from follower.collect.sampled import Sampled
from shared.measure.manifest import DeviceReading

NO_DEVICE: Final = "the slot has no accelerator"

Value = TypeVar("Value")


class Nvml(Protocol):
    """The part of NVML that is used; ``pynvml`` is one. Each call raises NVMLError where it cannot answer."""

    @property
    def NVMLError(self) -> type[Exception]: ...  # noqa: N802
    def nvmlInit(self) -> None: ...  # noqa: N802 - NVML's own names
    def nvmlShutdown(self) -> None: ...  # noqa: N802
    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any: ...  # noqa: N802
    def nvmlDeviceGetUtilizationRates(self, handle: Any) -> Any: ...  # noqa: N802 - .gpu in percent
    def nvmlDeviceGetMemoryInfo(self, handle: Any) -> Any: ...  # noqa: N802 - .used in bytes
    def nvmlDeviceGetPowerUsage(self, handle: Any) -> int: ...  # noqa: N802 - in milliwatts
    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any) -> int: ...  # noqa: N802 - in millijoules


NVML: Final = cast("Nvml", pynvml)


class DeviceCollector(Sampled[DeviceReading]):
    """A Collector of the accelerators with these indices; one reading for each in a round."""

    def __init__(self, indices: Sequence[int], nvml: Nvml = NVML) -> None:
        super().__init__("devices")
        self._indices = tuple(indices)
        self._nvml = nvml
        self._handles: dict[int, Any] = {}
        self._is_open = False

    def _open(self) -> None:
        if not self._indices:
            self._miss("", NO_DEVICE)
            return
        try:
            self._nvml.nvmlInit()
        except self._nvml.NVMLError as error:
            self._miss("", f"NVML: {error}")
            return
        self._is_open = True
        for index in self._indices:
            handle = self._ask(f"{index}", partial(self._nvml.nvmlDeviceGetHandleByIndex, index))
            if handle is not None:
                self._handles[index] = handle

    def _read(self, at_ns: int) -> Iterable[DeviceReading]:
        return [self._device(at_ns, index, handle) for index, handle in self._handles.items()]

    def _device(self, at_ns: int, index: int, handle: Any) -> DeviceReading:
        nvml = self._nvml
        return DeviceReading(
            at_ns=at_ns,
            index=index,
            busy_pct=self._ask(f"{index}.busy", lambda: float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)),
            memory_bytes=self._ask(f"{index}.memory", lambda: int(nvml.nvmlDeviceGetMemoryInfo(handle).used)),
            power_w=self._ask(f"{index}.power", lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000),
            energy_mj=self._ask(f"{index}.energy", lambda: int(nvml.nvmlDeviceGetTotalEnergyConsumption(handle))),
        )

    def _ask(self, what: str, question: Callable[[], Value]) -> Value | None:
        """One figure; what the driver refuses once is not asked for again."""
        if self._is_missing(what):
            return None
        try:
            return question()
        except self._nvml.NVMLError as error:
            self._miss(what, f"NVML: {error}")
            return None

    def _close(self) -> None:
        if self._is_open:
            self._nvml.nvmlShutdown()
