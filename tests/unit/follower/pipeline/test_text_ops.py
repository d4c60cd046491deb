"""Texts become ids: the known ones, of a fixed length, and every failure is told."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.assignments import run_spec

from follower.pipeline.chain import batch_of, build_parts, build_preprocess, inputs_of, ops
from follower.pipeline.protocol import Array, PipelineFailed
from follower.pipeline.text import MAX_TEXT_BYTES, PAD_ID
from follower.pipeline.vocabulary import PIECES, WORDS, digest
from shared.jobs.feeding import Feed
from shared.jobs.keys import comparability_key
from shared.jobs.pipeline import SHORT_MESSAGES_SHA256, PipelineSpec, Tokenize

SIGNS = 2 + 32 + 10 + 26 + 10 + 26  # padding and unknown; punctuation, digits, letters; digits and letters in words


def spec(**parameters: Any) -> PipelineSpec:
    """A pipeline of one op."""
    return PipelineSpec.model_validate({"preprocess": [{"op": "tokenize", **parameters}]})


def ids_of(text: str, **parameters: Any) -> Array:
    """What a text becomes."""
    return build_preprocess(spec(**parameters))(text.encode())


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", []),
        ("12", [SIGNS]),  # the first word of the list
        ("Your 12!", [279, SIGNS, 2]),  # the last word; lower case; the first punctuation mark
        ("a~9", [44, 33, 43]),  # a letter, the last punctuation mark, the last digit
        ("az", [44, 105]),  # no word: its first letter, then a letter that goes on
        ("ÄZ", [44, 105]),  # without its dots
        ("your9", [279, 79]),  # a word that goes on is that word and the rest
        ("12\t\n 12", [SIGNS, SIGNS]),
        ("日", [1]),  # unknown
        ("a日", [44, 1]),  # a Chinese character is a word by itself
        ("aя", [1]),  # one letter that nobody knows makes the whole word unknown
    ],
)
def test_a_text_becomes_the_pieces_places(text: str, ids: list[int]) -> None:
    """Worked out by hand from the order of the vocabulary."""
    found = ids_of(text, max_length=4)
    assert found.tolist() == ids + [0] * (4 - len(ids))
    assert found.dtype == np.int64


def test_what_is_too_long_is_cut_on_the_right_or_an_error() -> None:
    """As the job says."""
    assert ids_of("12 12 your", max_length=2).tolist() == [SIGNS, SIGNS]
    assert ids_of("12 12", max_length=2, truncate=False).tolist() == [SIGNS, SIGNS]
    with pytest.raises(PipelineFailed, match="a text of 3 tokens; tokenize takes 2 and may not cut"):
        ids_of("12 12 your", max_length=2, truncate=False)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\xff\xfe", "not UTF-8 text"),
        (b"a" * (MAX_TEXT_BYTES + 1), f"at most {MAX_TEXT_BYTES} are tokenized"),
    ],
)
def test_what_is_no_text_is_refused(data: bytes, told: str) -> None:
    """A sample that cannot be processed is an error of the pipeline, never another one."""
    with pytest.raises(PipelineFailed, match=told):
        build_preprocess(spec())(data)


@given(text=st.text(max_size=200), length=st.integers(1, 64))
def test_every_text_becomes_ids_of_the_vocabulary(text: str, length: int) -> None:
    """Of the length asked for, and padding only after all else."""
    ids = ids_of(text, max_length=length)
    assert ids.shape == (length,)
    assert ((ids >= 0) & (ids < len(PIECES))).all()
    assert (ids[np.count_nonzero(ids) :] == 0).all()


@given(text=st.text(st.characters(max_codepoint=126, min_codepoint=32), max_size=60))
def test_nothing_of_an_ascii_text_is_lost(text: str) -> None:
    """The pieces put together again are the text in lower case, without its spaces."""
    pieces = [PIECES[place] for place in ids_of(text, max_length=64) if place]
    assert "".join(piece if piece == "#" else piece.removeprefix("##") for piece in pieces) == text.lower().replace(
        " ", ""
    )


@given(text=st.text(max_size=80), length=st.integers(1, 40), more=st.integers(0, 40))
def test_the_mask_tells_tokens_from_filling(text: str, length: int, more: int) -> None:
    """Ones, then zeros; a longer row says the same of a text and has more filling only."""
    short, long = (build_parts(spec(max_length=each))(text.encode()) for each in (length, length + more))
    tokens = int(short["mask"].sum())
    assert short["mask"].tolist() == [1] * tokens + [0] * (length - tokens)
    assert (short["ids"][tokens:] == PAD_ID).all()
    assert not short["type_ids"].any()
    if tokens < length:
        assert int(long["mask"].sum()) == tokens
    assert long["ids"][:tokens].tolist() == short["ids"][:tokens].tolist()


def test_several_texts_fill_every_input_with_a_row_each() -> None:
    """By the inputs' names, in the model's order."""
    preprocess = build_parts(spec(max_length=3))
    feeds = [Feed("kept", "INT64", "mask"), Feed("tokens", "INT64", "ids")]
    arrays = inputs_of(spec(), feeds, [preprocess(b"12"), preprocess(b"your your")])
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "kept": [[1, 0, 0], [1, 1, 0]],
        "tokens": [[SIGNS, 0, 0], [279, 279, 0]],
    }
    assert list(arrays) == ["kept", "tokens"]


def test_several_texts_make_one_tensor() -> None:
    """A row each."""
    preprocess = build_preprocess(spec(max_length=3))
    assert batch_of(spec(), [preprocess(b"12"), preprocess(b"your your")]).tolist() == [[SIGNS, 0, 0], [279, 279, 0]]


def test_the_vocabulary_has_each_piece_once_and_its_words_in_order() -> None:
    """Else a place would say nothing."""
    assert len(set(PIECES)) == len(PIECES) == SIGNS + len(WORDS) == 280
    assert list(WORDS) == sorted(WORDS)


def test_the_digest_in_a_job_is_that_of_the_tokenizer() -> None:
    """Filled in where the job does not name it; a follower that has another one says so."""
    assert digest() == SHORT_MESSAGES_SHA256
    assert spec().model_dump()["preprocess"][0]["tokenizer_sha256"] == digest()
    with pytest.raises(PipelineFailed, match=f"is {digest()} here; the job is for {'0' * 64}"):
        build_preprocess(spec(tokenizer_sha256="0" * 64))


def test_runs_with_other_tokenizers_or_lengths_are_not_compared() -> None:
    """A tokenizer is a part of the task."""
    data = {"dataset": "short-messages"}
    asked: list[dict[str, Any]] = [{}, {"tokenizer_sha256": "0" * 64}, {"max_length": 8}, {"truncate": False}]
    specs = [run_spec(requests=data, pipeline=spec(**each).model_dump(mode="json")) for each in asked]
    assert len({comparability_key(each, "0" * 64, None) for each in specs}) == len(asked)


def test_the_op_takes_bytes_alone_and_is_announced() -> None:
    """What it gives no other op takes."""
    assert "tokenize" in ops()
    for wrong in (["decode_image", "tokenize"], ["tokenize", "channels_first"], ["tokenize", "tokenize"]):
        with pytest.raises(ValueError, match=r"takes (the bytes of the dataset|an image)"):
            PipelineSpec.model_validate({"preprocess": [{"op": op} for op in wrong]})
    with pytest.raises(ValueError, match="tokenizer"):
        Tokenize.model_validate({"op": "tokenize", "tokenizer": "bert"})


def test_nothing_that_could_download_is_imported() -> None:
    """The tokenizers package asks for a downloader; it is not installed, and texts are tokenized without it."""
    code = (
        "import sys; from follower.pipeline import text; text.short_messages(); "
        "sys.exit('huggingface_hub' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
