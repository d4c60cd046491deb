"""What a slot uses, one by one: the devices that no two agents of a machine may use at once. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from shared.wire.identity import Gpu, Slot


@dataclass(frozen=True)
class Device:
    """One device of a slot. ``file`` is the same for every agent on the machine, whatever it calls its slots."""

    slot: str
    file: str
    words: str


def devices_of(slot: Slot, gpus: Sequence[Gpu]) -> tuple[Device, ...]:
    """The slot's GPUs, by what never changes of them; or, of a slot without any, the cores that serve.

    One each, so that two slots that overlap have one in common.
    """
    if not slot.gpus:
        return tuple(Device(slot.name, f"core-{core}.lock", f"core {core}") for core in slot.server_cores)
    uuids = {gpu.index: gpu.uuid for gpu in gpus}
    return tuple(_gpu(slot.name, index, uuids.get(index, f"index-{index}")) for index in slot.gpus)


def _gpu(slot: str, index: int, uuid: str) -> Device:
    return Device(slot, f"gpu-{re.sub(r'[^A-Za-z0-9-]', '_', uuid)}.lock", f"GPU {index} ({uuid})")
