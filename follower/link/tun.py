"""One TUN device that is both ends of a link: what is sent into it comes back out of it, addressed to the service.

No network namespace, no veth, no firewall rule: the device is not persistent, so the kernel removes it with its
addresses and its route once its descriptor is closed, whatever ends the process that holds it.

How a packet travels. The sender connects to ``FAR``, which the kernel routes into the device, from ``NEAR``. The
emulator reads the packet, writes "from FAR to 127.0.0.1" over its addresses and, when it is due, writes it back: for
the kernel a packet that has just come in over the device, for the service on the loopback address. Its answers, from
127.0.0.1 to FAR, are routed into the device as well and come back as "from FAR to NEAR". So one TCP connection goes
from the sender's socket to the service's, with all of TCP's own behaviour under delay, rate and loss; nothing is
terminated in between, and any service that listens on the loopback address is reached as it is.

Checksums stay right without touching them: they are sums of 16-bit words, and NEAR is chosen so that its two words add
up to those of 127.0.0.1 (the idea of checksum-neutral prefixes, RFC 6296, section 2.6). The addresses are of
198.18.0.0/15, which RFC 2544 sets aside for benchmarks.

Source of the numbers: <linux/if_tun.h>, <linux/sockios.h>, <linux/if.h>, <linux/virtio_net.h>, <linux/tcp.h>.
"""

import fcntl
import os
import socket
import struct
from pathlib import Path
from typing import Final

NEAR: Final = "198.18.184.238"
"""The sender's end of every link: 0xC612 + 0xB8EE = 0x7F00 + 0x0001 in ones' complement."""
_FAR_PREFIX: Final = "198.19"
_LOOPBACK: Final = "127.0.0.1"
_DEVICE_FILE: Final = "/dev/net/tun"
_NAME_PATTERN: Final = b"iblink%d"  # the kernel fills in the first free number

_TUNSETIFF: Final = 0x400454CA
_TUNSETOFFLOAD: Final = 0x400454D0
_IFF_TUN_NO_PI_VNET_HDR: Final = 0x0001 | 0x1000 | 0x4000
_TUN_F_CSUM_TSO4: Final = 0x01 | 0x02
_SIOCSIFFLAGS: Final = 0x8914
_SIOCSIFADDR: Final = 0x8916
_SIOCSIFDSTADDR: Final = 0x8918
_SIOCSIFMTU: Final = 0x8922
_SIOCSIFTXQLEN: Final = 0x8943
_IFF_UP_POINTOPOINT_RUNNING: Final = 0x1 | 0x10 | 0x40
_TX_QUEUE_PACKETS: Final = 10_000  # nothing is lost before the emulator has seen it

VNET_HEADER_BYTES: Final = 10
_ADDRESSES: Final = slice(VNET_HEADER_BYTES + 12, VNET_HEADER_BYTES + 20)
_TCP: Final = 6
_LONGEST_READ: Final = VNET_HEADER_BYTES + 65_536
_MTU_BYTES: Final = 1500


class TunLink:
    """The device. ``offload``: the kernel may hand over up to 64 KiB of one connection at once, as to a network card.

    Raises:
        OSError: not permitted, or the kernel has no such device.
    """

    def __init__(self, *, offload: bool) -> None:
        self.fd = os.open(_DEVICE_FILE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            request = struct.pack("16sH22x", _NAME_PATTERN, _IFF_TUN_NO_PI_VNET_HDR)
            self.name = fcntl.ioctl(self.fd, _TUNSETIFF, request)[:16].rstrip(b"\0").decode()
            fcntl.ioctl(self.fd, _TUNSETOFFLOAD, _TUN_F_CSUM_TSO4 if offload else 0)
            number = int(self.name.removeprefix("iblink")) + 1
            self.far = f"{_FAR_PREFIX}.{number >> 8}.{number & 255}"
            self._set_up()
        except BaseException:
            os.close(self.fd)
            raise
        near, far, loopback = (socket.inet_aton(address) for address in (NEAR, self.far, _LOOPBACK))
        self._turned = {near + far: far + loopback, loopback + far: far + near}
        self._up = near + far

    def close(self) -> None:
        """Removes the device."""
        os.close(self.fd)

    def read(self) -> bytes:
        """The next packet with its virtio header.

        Raises:
            BlockingIOError: there is none.
        """
        return os.read(self.fd, _LONGEST_READ)

    def write(self, packet: bytes) -> None:
        """Hands a packet to the kernel. One that it does not take is lost, as on any link."""
        try:
            os.write(self.fd, packet)
        except OSError:
            return

    def turn(self, packet: bytes, ports: frozenset[int]) -> tuple[bytes, bool] | None:
        """The packet as it arrives at the other end, and whether it goes up; None for what is not of this link.

        ``ports`` of the service's end are all that the link reaches: it must open no other door to the loopback.
        """
        addresses = packet[_ADDRESSES]
        turned = self._turned.get(addresses)
        if turned is None or packet[VNET_HEADER_BYTES + 9] != _TCP or packet[VNET_HEADER_BYTES] >> 4 != 4:  # noqa: PLR2004 - IPv4
            return None
        is_up = addresses == self._up
        ports_at = VNET_HEADER_BYTES + (packet[VNET_HEADER_BYTES] & 15) * 4
        if int.from_bytes(packet[ports_at + 2 * is_up : ports_at + 2 * is_up + 2], "big") not in ports:
            return None
        return packet[: _ADDRESSES.start] + turned + packet[_ADDRESSES.stop :], is_up

    def _set_up(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:

            def tell(what: int, value: bytes) -> None:
                fcntl.ioctl(control, what, struct.pack("16s24s", self.name.encode(), value))

            tell(_SIOCSIFADDR, _address(NEAR))
            tell(_SIOCSIFDSTADDR, _address(self.far))
            tell(_SIOCSIFMTU, struct.pack("=i", _MTU_BYTES))
            tell(_SIOCSIFTXQLEN, struct.pack("=i", _TX_QUEUE_PACKETS))
            Path(f"/proc/sys/net/ipv4/conf/{self.name}/route_localnet").write_text("1", encoding="ascii")
            tell(_SIOCSIFFLAGS, struct.pack("=H", _IFF_UP_POINTOPOINT_RUNNING))


def wire_bytes(packet: bytes) -> int:
    """What the packet takes of the link: a large one is counted as the packets of the MTU that it would be cut into."""
    size = len(packet) - VNET_HEADER_BYTES
    header_bytes, segment_bytes = struct.unpack_from("=HH", packet, 2)
    if size <= _MTU_BYTES or not segment_bytes:
        return size
    segments = -(-(size - header_bytes) // segment_bytes)
    return int(size + (segments - 1) * header_bytes)


def why_not() -> str | None:
    """Why there can be no TUN link here; None if there can be one, which has then been tried."""
    try:
        TunLink(offload=True).close()
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        return f"a TUN device cannot be had ({what}); it takes root, /dev/net/tun and a writable /proc/sys"
    return None


def _address(ip: str) -> bytes:
    return struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(ip))
