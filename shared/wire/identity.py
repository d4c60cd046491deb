"""What a follower says of itself: its inventory, its slots, what it can run."""

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class Wire(BaseModel):
    """A message between processes: strict about unknown keys, so that two versions cannot talk past each other."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Gpu(Wire):
    """One GPU, from NVML."""

    index: int
    name: str
    memory_bytes: int
    driver: str
    uuid: str


class Inventory(Wire):
    """The host's hardware and software. ``None`` means "not available here", never zero."""

    hostname: str
    cpu_model: str
    logical_cores: int
    physical_cores: int | None
    caches: dict[str, int] = Field(default_factory=dict)  # "L2" -> bytes
    memory_bytes: int
    kernel: str
    os: str
    governor: str | None
    virtualization: str | None = None
    gpus: tuple[Gpu, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)  # package or driver -> version


class Slot(Wire):
    """An exclusive set of devices. Client and server cores overlap only where the host has a single core."""

    name: str
    device: str  # "cpu" or "cuda"
    server_cores: tuple[int, ...]
    client_cores: tuple[int, ...]
    gpus: tuple[int, ...] = ()


class PlatformOffer(Wire):
    """One serving platform that is installed and usable."""

    platform: str
    version: str
    launch: tuple[str, ...]
    protocol: tuple[str, ...]
    device: tuple[str, ...]
    pipeline_sides: tuple[str, ...] = ("client",)  # "server": it runs the processors inside the service


class Capabilities(Wire):
    """Everything that this follower can run; what it does not announce it is not asked for."""

    platforms: tuple[PlatformOffer, ...]
    patterns: tuple[str, ...]
    networks: tuple[str, ...]
    pipeline_sides: tuple[str, ...]
    ops: tuple[str, ...]
    model_families: tuple[str, ...]
    datasets: tuple[str, ...]  # built-in ones; uploaded ones are fetched from the leader
    labels: dict[str, str] = Field(default_factory=dict)
    endpoints: tuple[str, ...] = ()  # what platform endpoint may load: host, host:port, or a network
    endpoint_secrets: tuple[str, ...] = ()  # names of secrets that it may send there; their values stay at the follower


class Registration(Wire):
    """POST /followers. ``incarnation`` is new at every start of the agent; it voids the older one's leases.

    ``home`` tells agents of one name apart: it lies in the work directory, which one agent at a time can hold, so the
    same home under a new incarnation is a restart. "" where an older agent does not say. ``utc_now``: its wall clock.
    """

    name: str
    incarnation: str
    home: str = ""
    utc_now: AwareDatetime | None = None
    version: str
    inventory: Inventory
    capabilities: Capabilities
    slots: tuple[Slot, ...]


class RegistrationAnswer(Wire):
    """How to behave from now on. ``bell_queue`` is the Celery queue whose messages mean "look at your list"."""

    follower: str
    lease_s: float
    heartbeat_s: float
    poll_s: float
    broker_url: str | None
    bell_queue: str


class Heartbeat(Wire):
    """POST /followers/{name}/heartbeat. ``leaving``: the last one, of an agent that stops in good order."""

    incarnation: str
    busy_slots: tuple[str, ...] = ()
    utc_now: AwareDatetime | None = None
    leaving: bool = False
