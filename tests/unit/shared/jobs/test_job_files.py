"""The job files and generated documents of the repository are what they claim to be."""

from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from shared.jobs.document import read_document, read_job
from shared.jobs.reference import main
from shared.jobs.schema import job_json_schema
from shared.jobs.spec import NamedModel
from shared.scheduling.estimate import predicted_s

ROOT = Path(__file__).parents[4]
MODELINE = "# yaml-language-server: $schema=../../docs/job.schema.json"

CLASSES = {"examples/jobs/*.yaml": "job", "examples/paper/*.yaml": "job"}
"""Every YAML file of the repository belongs to one of these; another needs a line here and a check below."""

NOT_OURS = {
    ".git",
    ".venv",
    ".inferbench",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
    "node_modules",
}


def yaml_files() -> list[str]:
    """Every YAML file of the checkout, relative to its root."""
    found = [path.relative_to(ROOT) for pattern in ("*.yaml", "*.yml") for path in ROOT.rglob(pattern)]
    return sorted(path.as_posix() for path in found if not NOT_OURS & set(path.parts))


def class_of(name: str) -> str | None:
    """The class of a YAML file, None if nobody has given it one."""
    return next((kind for pattern, kind in CLASSES.items() if fnmatch(name, pattern)), None)


JOBS = [name for name in yaml_files() if class_of(name) == "job"]


def plain(name: str) -> Any:
    """The file as another reader sees it."""
    return YAML(typ="safe", pure=True).load((ROOT / name).read_text("utf-8"))


def test_every_yaml_file_of_the_repository_is_classified() -> None:
    """A new YAML file is checked as what it is, or fails here until somebody says what it is."""
    assert [name for name in yaml_files() if class_of(name) is None] == []
    assert len(JOBS) >= 4


@pytest.mark.parametrize("name", JOBS)
def test_a_job_file_of_the_repository_is_valid(name: str) -> None:
    """Each can be read, and so can each of its runs."""
    document = read_document((ROOT / name).read_bytes())
    assert document.job.name == Path(name).stem
    assert document.runs


@pytest.mark.parametrize("name", JOBS)
def test_a_job_file_of_the_repository_satisfies_the_published_schema(name: str) -> None:
    """An editor that checks by the schema finds nothing to say; the first line tells it where the schema is."""
    assert list(Draft202012Validator(job_json_schema()).iter_errors(plain(name))) == []
    assert (ROOT / name).read_text("utf-8").splitlines()[0] == MODELINE


@pytest.mark.parametrize("name", JOBS)
def test_the_effective_form_of_a_job_is_a_job_again(name: str) -> None:
    """What is stored and shown with all defaults filled in satisfies the schema and reads back to the same job."""
    job = read_job((ROOT / name).read_bytes())
    effective = job.model_dump(mode="json")
    assert list(Draft202012Validator(job_json_schema()).iter_errors(effective)) == []
    assert type(job).model_validate(effective) == job


def test_the_schema_is_a_valid_schema() -> None:
    """It follows the dialect that it names, and refuses what the reader refuses."""
    schema = job_json_schema()
    Draft202012Validator.check_schema(schema)
    good = plain("examples/jobs/quickstart.yaml")
    refused = [
        {**good, "reapeats": 3},
        {**good, "workload": {"pattern": "poisson", "rate": -1}},
        {**good, "workload": {"pattern": "closed", "rate": 1}},
        {**good, "model": {"generate": {"family": "cn"}}},
        {**good, "service": {"ready_timeout": 5}},
    ]
    assert all(list(Draft202012Validator(schema).iter_errors(document)) for document in refused)


def test_every_key_of_the_schema_is_described() -> None:
    """Nobody meets a key without a word on what it means."""
    schema = job_json_schema()
    sections = {"": schema, **schema["$defs"]}
    silent = [
        f"{name}.{key}"
        for name, section in sections.items()
        for key, node in section.get("properties", {}).items()
        if "description" not in node and "$ref" not in node and "const" not in node and "anyOf" not in node
    ]
    assert silent == []


def test_generated_documents_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    """docs/job-reference.md and docs/job.schema.json are what the models say."""
    assert main(["--check"]) == 0, capsys.readouterr().err


def test_the_quickstart_is_short_and_uses_a_real_model() -> None:
    """The first job that a newcomer runs takes less than half a minute and answers about real pictures."""
    document = read_document((ROOT / "examples/jobs/quickstart.yaml").read_bytes())
    assert isinstance(document.job.model, NamedModel)
    assert document.job.requests.dataset == "text-lines"
    assert sum(predicted_s(run.spec) for run in document.runs) < 30


def test_the_example_with_every_key_has_every_key() -> None:
    """Sections have no honoured key that the example leaves out; alternatives are named in its comments."""
    text = (ROOT / "examples/jobs/every-key.yaml").read_text("utf-8")
    later = {"url", "endpoint", "distinct", "generate"}  # endpoint, synthetic data, and the other variants
    schema = job_json_schema()
    sections = [
        "ServiceSpec",
        "BatchingSpec",
        "PipelineSpec",
        "RequestsSpec",
        "ConstantWorkload",
        "CollectSpec",
        "SloSpec",
        "RequestLimits",
        "RequiresSpec",
    ]
    keys = {key for name in sections for key in schema["$defs"][name]["properties"]} | set(schema["properties"])
    assert [key for key in sorted(keys - later) if f"{key}:" not in text] == []
