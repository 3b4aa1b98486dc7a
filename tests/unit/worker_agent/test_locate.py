"""Which machine an engine is on."""

import socket
from contextlib import suppress

import pytest

from worker_agent.locate import machine_of
from worker_agent.machine import machine_id


def own_address() -> str | None:
    """One of this machine that is not loopback, where it has a network."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("192.0.2.1", 9))  # for documentation; nothing is sent
        return str(sock.getsockname()[0])
    return None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", own_address() or "127.0.0.1"])
def test_an_address_of_ours_is_this_machine(host: str) -> None:
    """Whatever its port, and however the machine is called."""
    assert machine_of(f"http://{host}:1234") == machine_of(f"http://{host}:11434/v1") == machine_id()


def test_another_address_is_another_machine() -> None:
    """By its address, whose digits do not show, or its name where nobody knows it; every port of it."""
    there = machine_of("http://192.0.2.7:1234")
    assert there == machine_of("http://192.0.2.7:11434")
    assert len({there, machine_of("http://192.0.2.8:1234"), machine_id()}) == 3
    assert "192" not in there
    assert machine_of("http://Mac.invalid:1") == machine_of("http://mac.invalid:2") != there


def test_a_tunnels_end_is_elsewhere() -> None:
    """Addresses that somebody gave to tunnels are as many machines."""
    assert machine_of("http://127.0.0.2:1") == machine_of("http://127.0.0.2:2") != machine_id()
