"""NVML through a driver that the test speaks for, and as this machine has it."""

from types import SimpleNamespace

import pynvml  # type: ignore[import-untyped]
import pytest

from follower.collect.devices import NO_DEVICE, DeviceCollector


class Refusal(Exception):
    """NVML's own error."""


class ScriptedDriver:
    """Two devices; what stands in ``refused`` cannot be asked."""

    NVMLError = Refusal

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.asked: list[str] = []
        self.energy_mj = 1_000

    def _answer(self, name: str) -> None:
        self.asked.append(name)
        if name in self.refused:
            raise Refusal(f"{name} not supported")

    def nvmlInit(self) -> None:  # noqa: N802 - NVML's own names, here and below
        self._answer("init")

    def nvmlShutdown(self) -> None:  # noqa: N802
        self._answer("shutdown")

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802
        self._answer(f"handle {index}")
        return f"gpu-{index}"

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> SimpleNamespace:  # noqa: N802
        self._answer("busy")
        return SimpleNamespace(gpu=37 if handle == "gpu-0" else 99, memory=1)

    def nvmlDeviceGetMemoryInfo(self, _handle: str) -> SimpleNamespace:  # noqa: N802
        self._answer("memory")
        return SimpleNamespace(used=5_000, total=9_000)

    def nvmlDeviceGetPowerUsage(self, _handle: str) -> int:  # noqa: N802
        self._answer("power")
        return 250_500

    def nvmlDeviceGetTotalEnergyConsumption(self, _handle: str) -> int:  # noqa: N802
        self._answer("energy")
        self.energy_mj += 7
        return self.energy_mj


def refusal() -> str | None:
    """Why this machine has no NVML; None where it has."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return str(error)
    pynvml.nvmlShutdown()
    return None


def test_each_device_is_read_in_its_own_units() -> None:
    """Milliwatts become watts; energy stays the counter in millijoules."""
    collector = DeviceCollector([0, 1], ScriptedDriver())
    collector.start()
    first, second = collector.readings
    assert (first.index, first.busy_pct, first.memory_bytes) == (0, 37.0, 5_000)
    assert (first.power_w, first.energy_mj) == (250.5, 1_007)
    assert (second.index, second.busy_pct) == (1, 99.0)
    assert first.at_ns == second.at_ns
    assert collector.unavailable == {}


def test_what_the_driver_refuses_is_missing_and_is_asked_once() -> None:
    """A card without an energy counter still tells the rest."""
    driver = ScriptedDriver("energy")
    collector = DeviceCollector([0], driver)
    collector.start()
    collector.sample()
    assert [reading.energy_mj for reading in collector.readings] == [None, None]
    assert collector.readings[0].power_w == 250.5
    assert collector.unavailable == {"devices.0.energy": "NVML: energy not supported"}
    assert driver.asked.count("energy") == 1


def test_a_device_that_is_not_there_leaves_the_others() -> None:
    """Its reason is kept under its index."""
    collector = DeviceCollector([0, 1], ScriptedDriver("handle 1"))
    collector.start()
    assert [reading.index for reading in collector.readings] == [0]
    assert collector.unavailable == {"devices.1": "NVML: handle 1 not supported"}


def test_the_driver_is_let_go_once() -> None:
    """However often it is stopped; and not at all where it could not be opened."""
    driver = ScriptedDriver()
    collector = DeviceCollector([0], driver)
    collector.start()
    collector.stop()
    collector.stop()
    assert driver.asked.count("shutdown") == 1
    absent = ScriptedDriver("init")
    collector = DeviceCollector([0], absent)
    collector.start()
    collector.stop()
    assert "shutdown" not in absent.asked
    assert collector.readings == ()


def test_a_slot_without_accelerators_says_so_and_leaves_the_driver_alone() -> None:
    """A CPU run does not wake a GPU."""
    driver = ScriptedDriver()
    collector = DeviceCollector([], driver)
    collector.start()
    collector.stop()
    assert collector.unavailable == {"devices": NO_DEVICE}
    assert driver.asked == []


def test_this_machines_driver_answers_or_is_named_as_missing() -> None:
    """Either there are readings, or there is a reason."""
    collector = DeviceCollector([0])
    collector.start()
    collector.stop()
    if why_not := refusal():
        assert collector.unavailable == {"devices": f"NVML: {why_not}"}
        assert collector.readings == ()
    else:
        assert len(collector.readings) == 2
        assert collector.readings[0].memory_bytes == pytest.approx(collector.readings[1].memory_bytes, rel=0.5)
