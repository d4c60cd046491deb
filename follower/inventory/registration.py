"""What this follower says of itself when it registers."""

import uuid
from importlib.metadata import version

from follower.inventory.capabilities import read_capabilities
from follower.inventory.containers import with_images
from follower.inventory.cpu import read_cpu
from follower.inventory.host import read_inventory
from follower.inventory.slots import cpu_slots
from follower.serve.endpoint.secrets import read_secrets
from follower.serve.platforms import offers
from follower.settings import FollowerSettings
from shared.wire.identity import Registration


def read_registration(settings: FollowerSettings) -> Registration:
    """Look at the host once; the incarnation is new at every call.

    Raises:
        InvalidInput: the secrets for endpoints cannot be used as they are.
    """
    cpu = read_cpu()
    platforms = with_images(offers(), settings.images)
    return Registration(
        name=settings.follower_name,
        incarnation=uuid.uuid4().hex,
        version=version("inferbench"),
        inventory=read_inventory(cpu, platforms),
        capabilities=read_capabilities(
            platforms, settings.labels, settings.endpoint_hosts, tuple(sorted(read_secrets(settings.endpoint_secrets)))
        ),
        slots=cpu_slots(cpu.siblings),
    )
