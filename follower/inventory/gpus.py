"""GPUs by NVML. A host without an NVIDIA driver simply has none."""

import structlog
from pynvml import (  # type: ignore[import-untyped]  # the package ships no types
    NVMLError,
    nvmlDeviceGetCount,
    nvmlDeviceGetHandleByIndex,
    nvmlDeviceGetMemoryInfo,
    nvmlDeviceGetName,
    nvmlDeviceGetUUID,
    nvmlInit,
    nvmlShutdown,
    nvmlSystemGetDriverVersion,
)

from shared.wire.identity import Gpu

log = structlog.get_logger()


def read_gpus() -> tuple[Gpu, ...]:
    """Every GPU that NVML lists, or none where NVML cannot be used."""
    try:
        nvmlInit()
    except NVMLError as error:
        log.debug("no-nvml", reason=str(error))
        return ()
    try:
        driver = str(nvmlSystemGetDriverVersion())
        return tuple(_read_gpu(index, driver) for index in range(nvmlDeviceGetCount()))
    except NVMLError as error:
        log.warning("gpu-inventory-failed", reason=str(error))
        return ()
    finally:
        nvmlShutdown()


def _read_gpu(index: int, driver: str) -> Gpu:
    handle = nvmlDeviceGetHandleByIndex(index)
    return Gpu(
        index=index,
        name=str(nvmlDeviceGetName(handle)),
        memory_bytes=int(nvmlDeviceGetMemoryInfo(handle).total),
        driver=driver,
        uuid=str(nvmlDeviceGetUUID(handle)),
    )
