"""What travels with a request inside the ASGI scope."""

from typing import Final

REQUEST_ID: Final = "inferbench.request_id"
"""Given by the edge; stands in logs, headers and problem documents."""

PRINCIPAL: Final = "inferbench.principal"
"""Who is calling; put there by the guard once it let the call through."""
