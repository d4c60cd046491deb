"""A tokenizer that comes with its model: another kind than the built-in one, and whatever is wrong with it told."""

import hashlib
import json
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE, WordLevel
from tokenizers.pre_tokenizers import ByteLevel, WhitespaceSplit
from tokenizers.processors import TemplateProcessing

from follower.pipeline.chain import build_parts
from follower.pipeline.own_tokenizer import MAX_TOKENIZER_BYTES
from follower.pipeline.protocol import PipelineFailed
from shared.jobs.pipeline import PipelineSpec


def bert_like(**changes: Any) -> str:
    """Words a, b and c between [CLS] and [SEP], filled with [PAD], which is not the first piece."""
    pieces = {"[UNK]": 0, "a": 1, "b": 2, "c": 3, "[CLS]": 4, "[SEP]": 5, "[PAD]": 6}
    tokenizer = Tokenizer(WordLevel(pieces, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 4), ("[SEP]", 5)])
    return json.dumps({**json.loads(tokenizer.to_str()), **changes})


def byte_level() -> str:
    """Byte-level BPE, as GPT-2 has it: every text can be spelled, one merge makes "ab" a piece."""
    signs = sorted(ByteLevel.alphabet())
    pieces = {piece: place for place, piece in enumerate([*signs, "ab"])}
    tokenizer = Tokenizer(BPE(pieces, [("a", "b")]))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    return tokenizer.to_str()


def parts(text: str, tokenizer: str | None, **parameters: Any) -> dict[str, list[int]]:
    """What a text becomes by the model's own tokenizer."""
    spec = PipelineSpec.model_validate({"preprocess": [{"op": "tokenize", "tokenizer": "model", **parameters}]})
    return {name: array.tolist() for name, array in build_parts(spec, tokenizer)(text.encode()).items()}


def test_a_text_becomes_the_pieces_of_the_models_own_tokenizer() -> None:
    """Filled with its own padding, which the mask leaves out."""
    found = parts("a x c", bert_like(), max_length=5)
    assert found == {"ids": [1, 0, 3, 6, 6], "mask": [1, 1, 1, 0, 0], "type_ids": [0] * 5}


def test_special_tokens_stand_around_a_text_also_where_it_is_cut() -> None:
    """What is cut is the text, and never the token that ends it."""
    assert parts("a b", bert_like(), max_length=5, special_tokens=True)["ids"] == [4, 1, 2, 5, 6]
    cut = parts("a b c", bert_like(), max_length=4, special_tokens=True)
    assert (cut["ids"], cut["mask"]) == ([4, 1, 2, 5], [1, 1, 1, 1])
    with pytest.raises(PipelineFailed, match="a text of 5 tokens; tokenize takes 4 and may not cut"):
        parts("a b c", bert_like(), max_length=4, special_tokens=True, truncate=False)
    with pytest.raises(PipelineFailed, match="max_length 2 leaves no room"):
        parts("a", bert_like(), max_length=2, special_tokens=True)


def test_what_the_file_says_of_length_and_filling_counts_for_nothing_but_the_fillings_id() -> None:
    """The job says how long a row is."""
    padding = {
        "strategy": {"Fixed": 2}, "direction": "Left", "pad_to_multiple_of": None,
        "pad_id": 3, "pad_type_id": 0, "pad_token": "c",
    }  # fmt: skip
    truncation = {"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0}
    assert parts("a b", bert_like(padding=padding, truncation=truncation), max_length=4)["ids"] == [1, 2, 3, 3]


def test_byte_level_bpe_spells_every_text() -> None:
    """Each byte is a piece, and what the merges join is one; without padding of its own the id 0 fills, masked."""
    signs = sorted(ByteLevel.alphabet())
    found = parts("ab\u00e9", byte_level(), max_length=4)
    assert found["mask"] == [1, 1, 1, 0]
    assert found["ids"] == [256, signs.index("\u00c3"), signs.index("\u00a9"), 0]  # UTF-8 of an e with acute: C3 A9


def test_a_job_can_name_the_tokenizer_that_it_was_written_for() -> None:
    """By the digest of the file's text."""
    digest = hashlib.sha256(bert_like().encode()).hexdigest()
    assert parts("a", bert_like(), max_length=1, tokenizer_sha256=digest)["ids"] == [1]
    with pytest.raises(PipelineFailed, match=f"the model's tokenizer is {digest}; the job is for {'0' * 64}"):
        parts("a", bert_like(), tokenizer_sha256="0" * 64)


@pytest.mark.parametrize(
    ("tokenizer", "told"),
    [
        (None, "has no metadata entry 'tokenizer.json'"),
        ("", "cannot be loaded"),
        ("[1, 2]", "cannot be loaded"),
        ('{"version": "1.0"}', "cannot be loaded: Model missing"),
        (bert_like(version="9"), "cannot be loaded"),
        (bert_like(normalizer={"type": "Replace", "pattern": {"Regex": "((("}, "content": ""}), "cannot be loaded"),
        (" " * (MAX_TOKENIZER_BYTES + 1), f"at most {MAX_TOKENIZER_BYTES} are loaded"),
    ],
)
def test_what_is_no_tokenizer_is_told_before_any_text(tokenizer: str | None, told: str) -> None:
    """As an error of the pipeline, whatever the library makes of it."""
    with pytest.raises(PipelineFailed, match=told):
        parts("a", tokenizer)
