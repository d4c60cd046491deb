"""Trained networks that wheels on the Python package index, or this one, carry. This table is all of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.jobs.pipeline import (
    ChannelsFirst,
    CtcDecode,
    DecodeImage,
    Normalize,
    PostprocessOp,
    PreprocessOp,
    Resize,
    Softmax,
    Tokenize,
    TopK,
)


@dataclass(frozen=True, kw_only=True)
class PackagedModel:
    """One network: which file of which distribution it is, and what is known of it beside what the file says."""

    distribution: str | None  # None: it lies beside this module
    file: str  # inside the distribution
    sha256: str
    task: str
    description: str
    source: str
    license: str
    labels: tuple[str, ...] = ()
    ctc_metadata_key: str | None = None
    """Metadata entry with one character per line; the labels are the blank, these, and the space."""
    preprocess: tuple[PreprocessOp, ...]
    postprocess: tuple[PostprocessOp, ...]


def _text_line(width: int) -> tuple[PreprocessOp, ...]:
    """What PaddleOCR does to a cropped text line: 48 high, at most ``width`` wide, from -1 to 1, padded with zeros."""
    return (
        DecodeImage(op="decode_image", channels="bgr"),
        Resize(op="resize", size=(48, width), keep_aspect=True),
        Normalize(op="normalize", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        ChannelsFirst(op="channels_first"),
    )


def _message_classifier(*, file: str, sha256: str, description: str) -> PackagedModel:
    """One that was taught with generated messages, whatever inputs it has."""
    return PackagedModel(
        distribution=None,
        file=file,
        sha256=sha256,
        task="text-classification",
        description=description,
        source="follower.generate.message_classifier, taught with generated messages",
        license="as InferBench",
        labels=("billing", "delivery", "fault", "praise"),
        preprocess=(Tokenize(op="tokenize", max_length=48),),
        postprocess=(Softmax(op="softmax"), TopK(op="top_k", k=1)),
    )


PACKAGED: Final[Mapping[str, PackagedModel]] = {
    "ppocr-rec": PackagedModel(
        distribution="rapidocr-onnxruntime",
        file="rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
        sha256="48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
        task="text-recognition",
        description="PP-OCRv4 mobile text recogniser, Chinese, English and digits; a line of text -> its characters",
        source="PaddleOCR, converted by RapidOCR; wheel rapidocr-onnxruntime 1.4.4",
        license="Apache-2.0",
        ctc_metadata_key="character",
        preprocess=_text_line(320),
        postprocess=(CtcDecode(op="ctc_decode"),),
    ),
    "ppocr-cls": PackagedModel(
        distribution="rapidocr-onnxruntime",
        file="rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
        sha256="e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
        task="image-classification",
        description="PP-OCR mobile v2.0 direction classifier; a line of text -> upright (0) or upside down (180)",
        source="PaddleOCR, converted by RapidOCR; wheel rapidocr-onnxruntime 1.4.4",
        license="Apache-2.0",
        labels=("0", "180"),
        preprocess=_text_line(192),
        postprocess=(TopK(op="top_k", k=1),),
    ),
    "messages-cls": _message_classifier(
        file="messages-cls.onnx",
        sha256="b162f4fd8d831e5d4a68cbeb10226006e56cb77f281547f8306dace554d89b0b",
        description="naive Bayes as a sum of embeddings; a short message to a shop -> what it is about",
    ),
    "messages-masked": _message_classifier(
        file="messages-masked.onnx",
        sha256="a9971f85212149068f293b919ccddcc445b425e70c2810f8ed0e27c39c1219c3",
        description="messages-cls with the inputs of BERT-like models: a mean over the tokens that the mask leaves",
    ),
}
