"""Every write that a store can make is reached by a story, or it is said here why not."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from simulation.crash_points import attempts
from simulation.stage import undisturbed
from simulation.stories import STORIES

ROOT: Final = Path(__file__).parents[2]
STORES: Final = (*sorted((ROOT / "leader/perfdb").glob("mongo*.py")), ROOT / "model_repo/gridfs.py")
WRITES: Final = frozenset(
    {
        "insert_one", "insert_many", "update_one", "update_many", "replace_one", "delete_one", "delete_many",
        "find_one_and_update", "find_one_and_replace", "find_one_and_delete", "bulk_write", "create_indexes",
        "create_index", "drop", "rename", "drop_index",
        "upload_from_stream_with_id", "open_upload_stream", "open_upload_stream_with_id",
    }
)  # fmt: skip

EXCEPTIONS: Final = {
    "MongoTokens.add": "a token is one document, and no run depends on it",
    "MongoTokens.create": "as add",
    "MongoTokens.remove": "as add",
    "MongoRuns.mark_without_record": "evidence is kept before a run ends, so that a record can always be derived",
    "MongoVersions.add_next": "models and datasets are stored before any job can name them",
    "MongoVersions.replace": "as add_next; tests/unit/model_repo and the contract of stores hold their states",
    "MongoLeaders.remove": "a mark that nobody has looked at for long; without it a leader thinks it has company",
    "MongoConversions.add": "test_conversion_crash_points dies at each call of a conversion's story",
    "MongoConversions.move": "the same",
    "GridFsBlobs.release": "test_blob_crash_points dies at each of its writes",
    "GridFsBlobs._clear": "the same",
}
"""Writes that no story reaches, with the reason."""


def writing_methods(path: Path) -> Iterator[str]:
    """The methods of a store in which something is written."""
    for found in ast.walk(ast.parse(path.read_text())):
        if isinstance(found, ast.ClassDef):
            methods = [node for node in found.body if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef)]
            yield from (f"{found.name}.{method.name}" for method in methods if names_called(method) & WRITES)


def names_called(tree: ast.AST) -> set[str]:
    """The names of all methods that are called in it."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {node.func.attr for node in calls if isinstance(node.func, ast.Attribute)}


def test_every_write_of_a_store_is_a_point_of_a_story() -> None:
    """A new write that no story comes to, and an exception that is none any more, are both told."""
    written = {method for path in STORES for method in writing_methods(path)}
    reached = {
        point.store_method
        for story in STORIES
        for attempt in attempts(story)
        for point in undisturbed(story.name, attempt).points
    }
    assert len(written) > 20
    assert written - reached - EXCEPTIONS.keys() == set()
    assert EXCEPTIONS.keys() - written == set(), "these do not write any more"
    assert EXCEPTIONS.keys() & reached == set(), "these are reached"


def test_nothing_but_the_stores_writes_to_the_database() -> None:
    """What goes around them would be no point."""
    known = set(STORES)
    for path in [*(ROOT / "leader").rglob("*.py"), *(ROOT / "model_repo").rglob("*.py")]:
        if path not in known:
            names = names_called(ast.parse(path.read_text()))
            assert not names & (WRITES - {"rename", "drop"}), path
