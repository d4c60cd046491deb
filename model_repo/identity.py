"""Which model a run uses, as one digest: of its bytes, or of what determines them."""

from model_repo.canonical.describe import canonical_digest
from shared.jobs.endpoint_api import TemplateApi
from shared.jobs.keys import digest_of
from shared.jobs.spec import GeneratedModel, RunSpec


def model_digest(spec: RunSpec, stored_sha256: str | None) -> str | None:
    """SHA-256 of a registered model's bytes as pinned, or of a canonical model's spec and generator version.

    Of an endpoint's model nothing is known but its name there: records of it compare with that endpoint's alone.
    With a template it is the template that says what is asked for, so it is part of the name; with which secret we may
    ask is not.
    """
    if spec.service.platform == "endpoint":
        named = [spec.service.url, spec.model.model_dump(mode="json")]
        template = spec.service.endpoint
        return digest_of(
            [*named, template.model_dump(mode="json", exclude={"secret"})]
            if isinstance(template, TemplateApi)
            else named
        )
    if isinstance(spec.model, GeneratedModel):
        return canonical_digest(spec.model.generate)
    return stored_sha256
