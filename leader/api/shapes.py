"""Bodies that only the API itself knows: small requests, and answers about the process."""

from typing import Annotated, Any, Literal

from pydantic import Field

from leader.auth.roles import Role
from shared.jobs.spec import Name
from shared.wire.identity import Registration, Wire
from shared.wire.views import View

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the bytes, in lower-case hex.")]
SizeBytes = Annotated[int, Field(ge=1, description="Length of the bytes that will be uploaded.")]


class NewModel(Wire):
    """POST /models. The bytes follow by PUT."""

    name: Name
    sha256: Sha256
    size_bytes: SizeBytes
    card: dict[str, Any] = Field(default_factory=dict, description="What the model is: task, labels, licence ...")


class ModelUpdate(Wire):
    """PATCH /models/{name}/versions/{version}: the card is replaced, the bytes never are."""

    card: dict[str, Any]


class NewDataset(Wire):
    """POST /datasets. The bytes (one Parquet file) follow by PUT."""

    name: Name
    sha256: Sha256
    size_bytes: SizeBytes
    description: str = Field("", max_length=2000)


class NewTokenRequest(Wire):
    """POST /tokens. ``follower`` goes with the role follower only: the token then speaks for no other."""

    name: Name
    role: Role
    follower: Name | None = None


class NamedRegistration(Registration):
    """POST /followers, with a name that fits into a path and a queue's name."""

    name: Name


class HealthView(View):
    """The process runs."""

    status: Literal["ok"] = "ok"


class ReadinessView(View):
    """Whether requests can be served; ``checks`` says "ok" or what is wrong, by part."""

    status: Literal["ready", "not ready"]
    checks: dict[str, str]


class VersionView(View):
    """The leader's version."""

    version: str


class ValidationView(View):
    """The job file is valid; ``effective`` has every default filled in."""

    valid: Literal[True] = True
    effective: dict[str, Any]
    run_count: int
