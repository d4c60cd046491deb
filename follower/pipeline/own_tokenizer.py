"""A tokenizer that comes with its model: the ``tokenizer.json`` of the tokenizers library, size-limited."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from tokenizers import Tokenizer

from follower.pipeline.protocol import PipelineFailed
from shared.jobs.pipeline import Tokenize

METADATA_KEY: Final = "tokenizer.json"
"""Entry of an ONNX file's ``metadata_props`` that holds the tokenizer."""

MAX_TOKENIZER_BYTES: Final = 1 << 20
"""As long as a metadata value of a model may be; that of BERT's uncased models takes 0.7 MB."""

_USUAL_PADDING: Final = ("[PAD]", "<pad>", "<|padding|>")
_NOWHERE: Final = 0  # the id of padding of a tokenizer that has none: a mask has to tell it


class UsableTokenizer(NamedTuple):
    """A tokenizer, and what it fills short texts with."""

    tokenizer: Tokenizer
    pad_id: int


def own_tokenizer(op: Tokenize, content: str | None) -> UsableTokenizer:
    """The tokenizer in ``content``, told to cut as the op says.

    Raises:
        PipelineFailed: there is none, it is too large, another one than the job's, or none that can be loaded.
    """
    if content is None:
        raise PipelineFailed(f"tokenizer model: the model's file has no metadata entry {METADATA_KEY!r}")
    data = content.encode()
    if len(data) > MAX_TOKENIZER_BYTES:
        raise PipelineFailed(f"a tokenizer of {len(data)} bytes; at most {MAX_TOKENIZER_BYTES} are loaded")
    found = hashlib.sha256(data).hexdigest()
    if op.tokenizer_sha256 not in (None, found):
        raise PipelineFailed(f"the model's tokenizer is {found}; the job is for {op.tokenizer_sha256}")
    tokenizer = _loaded(content)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    room = op.max_length - tokenizer.num_special_tokens_to_add(is_pair=False)
    if op.special_tokens and room < 1:
        raise PipelineFailed(f"max_length {op.max_length} leaves no room beside the tokenizer's special tokens")
    if op.special_tokens and op.truncate:
        tokenizer.enable_truncation(op.max_length)  # keeps what stands at the end, such as [SEP]
    return UsableTokenizer(tokenizer, _pad_id(tokenizer, content))


def _loaded(content: str) -> Tokenizer:
    try:
        return Tokenizer.from_str(content)
    except Exception as error:  # the library raises nothing narrower
        raise PipelineFailed(f"the model's tokenizer cannot be loaded: {error}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # a defect of the library, in words that it does not export
            raise
        raise PipelineFailed(f"the model's tokenizer cannot be loaded: {error}") from error


def _pad_id(tokenizer: Tokenizer, content: str) -> int:
    """As its own section ``padding`` has it, or the usual name of that token."""
    document: Mapping[str, Any] = json.loads(content)
    said = (document.get("padding") or {}).get("pad_id")
    if isinstance(said, int):
        return said
    usual = (tokenizer.token_to_id(name) for name in _USUAL_PADDING)
    return next((found for found in usual if found is not None), _NOWHERE)
