"""The leader as a converter sees it: one method per route, beside those that it shares with a follower."""

from pathlib import Path
from typing import Final

from pydantic import SecretStr

from follower.agent.leader import UPLOAD_TIMEOUT_S, LeaderClient, parsed
from shared.wire.assignment import LeaseAnswer
from shared.wire.conversions import (
    ConversionEnd,
    ConversionLeaseCall,
    ConversionView,
    ConvertedView,
    ConverterAnswer,
    ConverterClaim,
    NewResult,
)

LEASE_TIMEOUT_S: Final = 4.0
"""A call that keeps a lease waits no longer, so that there is time for another."""


class ConverterClient(LeaderClient):
    """Calls of one converter; raises what the follower's calls raise."""

    def __init__(self, url: str, token: SecretStr, name: str) -> None:
        super().__init__(url, token, name)
        self._converter = f"/api/v1/converters/{name}"

    def claim_conversion(self, claim: ConverterClaim) -> ConverterAnswer:
        return parsed(ConverterAnswer, self._post(f"{self._converter}/claim", claim))

    def renew_conversion(self, conversion_id: str, call: ConversionLeaseCall) -> LeaseAnswer:
        path = f"{self._converter}/conversions/{conversion_id}/lease"
        return parsed(LeaseAnswer, self._post(path, call, timeout=LEASE_TIMEOUT_S))

    def announce(self, conversion_id: str, new: NewResult) -> ConvertedView:
        path = f"{self._converter}/conversions/{conversion_id}/result"
        return parsed(ConvertedView, self._post(path, new, timeout=UPLOAD_TIMEOUT_S))

    def upload(self, conversion_id: str, fence: int, path: Path) -> None:
        """Stream the new model to the leader, which looks at it before it answers."""
        self._put(f"{self._converter}/conversions/{conversion_id}/result", path, {"fence": fence})

    def finish(self, conversion_id: str, end: ConversionEnd) -> ConversionView:
        path = f"{self._converter}/conversions/{conversion_id}/finish"
        return parsed(ConversionView, self._post(path, end, timeout=UPLOAD_TIMEOUT_S))
