"""Stored bytes as answers: always a download, never something that a browser would run."""

import base64
from typing import Final

from starlette.responses import StreamingResponse

from model_repo.protocol import Blob

PARQUET: Final = "application/vnd.apache.parquet"
BYTES: Final = "application/octet-stream"
TEXT: Final = "text/plain; charset=utf-8"


def file_response(blob: Blob, *, media_type: str, filename: str) -> StreamingResponse:
    """The blob, streamed, with its length and digest (RFC 9530). ``filename`` is made of checked names only."""
    digest = base64.b64encode(bytes.fromhex(blob.sha256)).decode()
    return StreamingResponse(
        blob.chunks,
        media_type=media_type,
        headers={
            "Content-Length": str(blob.size_bytes),
            "Content-Disposition": f'attachment; filename="{filename}"',
            "Repr-Digest": f"sha-256=:{digest}:",
        },
    )
