"""One start of the server: its process or container, its ports and the name that it answers with."""

from dataclasses import dataclass

from follower.serve.launch.protocol import Launched
from follower.serve.triton.place import Ports


@dataclass(frozen=True)
class Server:
    """A server that was started."""

    launched: Launched
    ports: Ports
    server_id: str  # nobody else's: who answers at the port is known by it
