"""Ops on text. Each is made once per job from its parameters and runs per sample."""

from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from follower.pipeline.protocol import Array, PipelineFailed
from follower.pipeline.vocabulary import CONTINUED, PAD, PIECES, UNKNOWN, digest
from shared.jobs.pipeline import Tokenize

MAX_TEXT_BYTES: Final = 1 << 20
PAD_ID: Final = PIECES.index(PAD)


def tokenize(op: Tokenize) -> Callable[[bytes], Array]:
    """UTF-8 bytes -> int64 ids of shape (max_length,), cut or filled with ``PAD_ID`` on the right.

    Raises:
        PipelineFailed: The job was written for another tokenizer of that name.
    """
    if op.tokenizer_sha256 != digest():
        raise PipelineFailed(f"tokenizer {op.tokenizer} is {digest()} here; the job is for {op.tokenizer_sha256}")
    tokenizer = short_messages()

    def run(data: bytes) -> Array:
        found = tokenizer.encode(_text(data), add_special_tokens=False).ids
        if len(found) > op.max_length and not op.truncate:
            raise PipelineFailed(f"a text of {len(found)} tokens; tokenize takes {op.max_length} and may not cut")
        ids = np.full(op.max_length, PAD_ID, np.int64)
        kept = found[: op.max_length]
        ids[: len(kept)] = kept
        return ids

    return run


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
