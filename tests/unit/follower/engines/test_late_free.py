"""The library that Triton loads first: freed blocks stay as they were for a while, and memory still comes back."""

import subprocess
from pathlib import Path

import pytest

from follower.engines.install import PRELOAD

PROGRAM = r"""
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    if (strcmp(argv[1], "reuse") == 0) {            /* how many blocks are handed out before a freed one comes again */
        size_t size = (size_t)atoi(argv[2]);
        char *volatile freed = malloc(size);
        volatile size_t was = (size_t)freed;
        free(freed);
        int others = 0;
        for (; others < 1000; others++) {
            char *volatile next = malloc(size);
            if ((size_t)next == was) break;
            free(next);
        }
        printf("%d\n", others);
    } else {                                        /* bytes in use after a million blocks came and went */
        for (int i = 0; i < 1000000; i++) free(malloc(256));
        printf("%zu\n", mallinfo2().uordblks);
    }
    return argc < 2;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled, with the library beside it."""
    folder = tmp_path_factory.mktemp("late-free")
    source = folder / "program.c"
    source.write_text(PROGRAM)
    library = ["-shared", "-fPIC", "-o", str(folder / "late_free.so"), str(PRELOAD / "late_free.c")]
    for arguments in (["-O0", "-fno-builtin", "-o", str(folder / "program"), str(source)], ["-O2", "-Wall", *library]):
        done = subprocess.run(["cc", "-Werror", *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return folder / "program"


def told(program: Path, *arguments: str, preloaded: bool = True) -> int:
    """The number that the program prints."""
    environment = {"LD_PRELOAD": str(program.with_name("late_free.so"))} if preloaded else {}
    return int(subprocess.run([program, *arguments], env=environment, capture_output=True, check=True).stdout)


@pytest.mark.parametrize("size", ["24", "200", "1500"])
def test_a_small_block_is_not_handed_out_again_at_once(program: Path, size: str) -> None:
    """Plain malloc gives it to whoever asks next; here 64 others are freed before."""
    assert told(program, "reuse", size, preloaded=False) == 0
    assert told(program, "reuse", size) >= 64


def test_a_large_block_is_given_back_at_once(program: Path) -> None:
    """Tensors must not pile up."""
    assert told(program, "reuse", "8192") == 0


def test_what_is_held_back_does_not_grow(program: Path) -> None:
    """A million blocks later no more is in use than what may be held, and what a program starts with."""
    assert told(program, "churn") < 64 * 4096 + 100_000
