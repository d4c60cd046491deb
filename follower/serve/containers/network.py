"""The network of served models: internal, so that no packet is forwarded, and without talk between containers.

A published port would go through the engine's proxy, and an internal network has none. The service is asked at its
own address on the bridge instead, which exists on this host only.
"""

import os
import shutil
import subprocess
from typing import Any, Final

NETWORK: Final = "inferbench"
BRIDGE: Final = "inferbench0"

_REFUSE_NEW: Final = ("INPUT", "-i", BRIDGE, "-m", "conntrack", "--ctstate", "NEW", "-j", "DROP")
"""The bridge has an address of the host, at which a container could reach whatever listens on all addresses."""


def network_settings() -> dict[str, Any]:
    """The engine's parameters."""
    return {
        "driver": "bridge",
        "internal": True,
        "check_duplicate": True,
        "options": {
            "com.docker.network.bridge.name": BRIDGE,
            "com.docker.network.bridge.enable_icc": "false",
        },
    }


def close_host() -> bool:
    """Have the kernel refuse connections from the bridge to this host; whether they are refused now.

    Only root may, and only where iptables is installed: a follower that cannot says so in its records.
    """
    iptables = shutil.which("iptables", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if os.geteuid() != 0 or iptables is None:
        return False
    return _done(iptables, "-C") or _done(iptables, "-I")


def _done(iptables: str, action: str) -> bool:
    ran = subprocess.run([iptables, "--wait", "5", action, *_REFUSE_NEW], capture_output=True, check=False)
    return ran.returncode == 0
