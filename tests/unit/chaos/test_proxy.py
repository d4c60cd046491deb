"""The link between followers and leader that a test can damage."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from chaos.proxy import Link, Way, links


@contextmanager
def echo_server() -> Iterator[int]:
    """Sends back what it gets; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=[listener], daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_echo, args=[connection], daemon=True).start()


def _echo(connection: socket.socket) -> None:
    with connection:
        try:
            while data := connection.recv(65_536):
                connection.sendall(data)
        except OSError:
            return


@pytest.fixture
def link() -> Iterator[Link]:
    """A link to an echo server."""
    with echo_server() as port, links(port, 1) as (only,):
        yield only


def connected(link: Link) -> socket.socket:
    """A connection through the link."""
    return socket.create_connection(("127.0.0.1", link.port), timeout=5)


def asked(connection: socket.socket, text: bytes) -> bytes:
    """The answer to ``text``; empty where the other side has closed."""
    connection.sendall(text)
    return connection.recv(len(text))


def asked_anew(link: Link, text: bytes) -> bytes:
    """The same over a connection of its own."""
    with closing(connected(link)) as connection:
        return asked(connection, text)


def test_a_healthy_link_carries_bytes_both_ways_and_their_end(link: Link) -> None:
    """A mebibyte comes back as it went, and closing one side closes the other."""
    sent = bytes(range(256)) * 4096
    with closing(connected(link)) as connection:
        threading.Thread(target=connection.sendall, args=[sent]).start()
        got = b""
        while len(got) < len(sent):
            got += connection.recv(65_536)
        assert got == sent
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


def test_a_slow_link_takes_its_delay_in_each_direction(link: Link) -> None:
    """0.1 s up and 0.1 s down are at least 0.2 s for a question and its answer."""
    with closing(connected(link)) as connection:
        link.delay(0.1)
        began_s = time.monotonic()
        assert asked(connection, b"slow") == b"slow"
        assert time.monotonic() - began_s >= 0.2


@pytest.mark.parametrize("ways", [("up",), ("down",), ()])
def test_a_half_open_link_says_nothing_and_forgets_nothing(link: Link, ways: tuple[Way, ...]) -> None:
    """While it is held nothing arrives and the connection stays open; healed, it brings what was sent meanwhile."""
    with closing(connected(link)) as connection:
        assert asked(connection, b"before") == b"before"
        link.hold(*ways)
        connection.sendall(b"meanwhile")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        link.heal()
        connection.settimeout(5)
        assert connection.recv(9) == b"meanwhile"


def test_what_is_held_one_way_still_passes_the_other(link: Link) -> None:
    """Answers that are under way arrive although no question gets through any more."""
    with closing(connected(link)) as connection:
        link.hold("down")
        connection.sendall(b"answered")
        time.sleep(0.2)  # the echo waits in the proxy now
        link.heal()
        link.hold("up")
        assert connection.recv(8) == b"answered"


def test_a_cut_link_resets_what_is_open_and_what_is_new_until_it_is_healed(link: Link) -> None:
    """Both sides are told at once; afterwards a new connection works as ever."""
    with closing(connected(link)) as connection:
        assert asked(connection, b"before") == b"before"
        link.cut()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with pytest.raises(ConnectionError):
        asked_anew(link, b"refused")
    link.heal()
    assert asked_anew(link, b"after") == b"after"


def test_a_leader_that_dies_with_a_question_unread_resets_the_one_who_asked() -> None:
    """As the kernel of its machine would tell: nobody is left waiting for an answer."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        links(listener.getsockname()[1], 1) as (link,),
        closing(connected(link)) as connection,
    ):
        connection.sendall(b"question")
        far, _ = listener.accept()
        time.sleep(0.1)  # it has come, and nobody reads it: closing now is a reset
        far.close()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_a_link_to_nobody_resets() -> None:
    """A leader that is down refuses; through the link that is a reset, not a silence."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with links(port, 1) as (dead,), pytest.raises(ConnectionError):
        asked_anew(dead, b"x")


def test_links_to_one_leader_are_damaged_one_by_one() -> None:
    """A cut of one follower's link leaves the other's alone."""
    with echo_server() as port, links(port, 2) as (one, other):
        one.cut()
        assert asked_anew(other, b"still here") == b"still here"
