"""Ops on text. Each is made once per job from its parameters and runs per sample."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from follower.pipeline.own_tokenizer import UsableTokenizer, own_tokenizer
from follower.pipeline.protocol import Array, Parts, PipelineFailed
from follower.pipeline.vocabulary import CONTINUED, PAD, PIECES, UNKNOWN, digest
from shared.jobs.pipeline import Tokenize

MAX_TEXT_BYTES: Final = 1 << 20
PAD_ID: Final = PIECES.index(PAD)


def tokenize(op: Tokenize, own: str | None = None) -> Callable[[bytes], Parts]:
    """UTF-8 bytes -> ids, mask and type_ids, int64 of shape (max_length,), cut or filled on the right.

    Filling has the id of the tokenizer's own padding and the mask 0. ``own``: the model's ``tokenizer.json``.

    Raises:
        PipelineFailed: the job was written for another tokenizer of that name, or the model has none.
    """
    found = own_tokenizer(op, own) if op.tokenizer == "model" else _built_in(op)
    encode, length = found.tokenizer.encode, op.max_length

    def run(data: bytes) -> Parts:
        text = encode(_text(data), add_special_tokens=op.special_tokens)
        ids = text.ids
        if len(ids) > length and not op.truncate:
            raise PipelineFailed(f"a text of {len(ids)} tokens; tokenize takes {length} and may not cut")
        return {
            "ids": _filled(ids[:length], length, found.pad_id),
            "mask": _filled([1] * min(len(ids), length), length, 0),
            "type_ids": _filled(text.type_ids[:length], length, 0),
        }

    return run


def _filled(values: Sequence[int], length: int, filling: int) -> Array:
    array = np.full(length, filling, np.int64)
    array[: len(values)] = values
    return array


def _built_in(op: Tokenize) -> UsableTokenizer:
    if op.tokenizer_sha256 != digest():
        raise PipelineFailed(f"tokenizer {op.tokenizer} is {digest()} here; the job is for {op.tokenizer_sha256}")
    return UsableTokenizer(short_messages(), PAD_ID)


@cache
def short_messages() -> Tokenizer:
    """WordPiece over ``PIECES``: lower case, no accents, split at spaces and around punctuation, longest piece first.

    Source: Devlin et al., "BERT", NAACL 2019; the rules are those of its uncased models, without their [CLS] and [SEP].
    """
    vocabulary = {piece: place for place, piece in enumerate(PIECES)}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token=UNKNOWN, continuing_subword_prefix=CONTINUED))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return tokenizer


def _text(data: bytes) -> str:
    if len(data) > MAX_TEXT_BYTES:
        raise PipelineFailed(f"a text of {len(data)} bytes; at most {MAX_TEXT_BYTES} are tokenized")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise PipelineFailed(f"not UTF-8 text: {error}") from error
