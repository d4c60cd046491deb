"""What a slot uses, named so that every agent of a machine names it alike."""

from follower.inventory.devices import devices_of
from shared.wire.identity import Gpu, Slot

UUID = "GPU-5d0e6a1c-0000-1111-2222-333344445555"


def slot(name: str = "s", *, server_cores: tuple[int, ...] = (), gpus: tuple[int, ...] = ()) -> Slot:
    """A slot with these devices."""
    return Slot(name=name, device="cuda" if gpus else "cpu", server_cores=server_cores, client_cores=(0,), gpus=gpus)


def gpu(index: int, uuid: str) -> Gpu:
    """A GPU as NVML lists it."""
    return Gpu(index=index, name="Test", memory_bytes=1, driver="1", uuid=uuid)


def test_a_cpu_slot_is_its_server_cores() -> None:
    """One device each."""
    found = devices_of(slot(server_cores=(2, 10)), ())
    assert [(device.file, device.words) for device in found] == [("core-2.lock", "core 2"), ("core-10.lock", "core 10")]


def test_a_gpu_is_known_by_its_uuid() -> None:
    """Its index differs between processes that see different GPUs; what the slot is called does not matter."""
    (alone,) = devices_of(slot("a", gpus=(0,)), [gpu(0, UUID)])
    (among_others,) = devices_of(slot("b", gpus=(3,), server_cores=(1,)), [gpu(0, "GPU-x"), gpu(3, UUID)])
    assert alone.file == among_others.file == f"gpu-{UUID}.lock"
    assert (alone.slot, among_others.slot) == ("a", "b")
    assert UUID in alone.words


def test_a_uuid_cannot_lead_out_of_the_directory() -> None:
    """Nothing but letters, digits and dashes gets into the file's name."""
    (device,) = devices_of(slot(gpus=(0,)), [gpu(0, "../../etc/passwd\0")])
    assert device.file == "gpu-______etc_passwd_.lock"


def test_a_gpu_that_nobody_listed_is_known_by_its_index() -> None:
    """Better than not at all."""
    assert devices_of(slot(gpus=(1,)), [])[0].file == "gpu-index-1.lock"


def test_a_slot_that_pins_nothing_locks_nothing() -> None:
    """As in tests of the agent."""
    assert devices_of(slot(), ()) == ()
