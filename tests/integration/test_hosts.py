"""Live host records: one worker to a host, and who may follow whom."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from threading import Event, Thread
from typing import Any

import pytest

from tasks import hosts
from tasks.connection import Client, connect
from tasks.hosts import HostRecord, HostTaken, NameTaken, ServedModel
from tasks.ledger import keys
from worker_agent.machine import machine_id

LIVE_PID = 1  # somebody of this machine, whoever that is


def record(incarnation: str = "first", **changes: Any) -> HostRecord:
    plain = HostRecord("box", incarnation, machine_id(), LIVE_PID, "openai", 2, ("llmq.any", "llmq.model.m"))
    return replace(plain, **{"models": (ServedModel("m", "m:7b", 4096, "d1"),), **changes})


@pytest.fixture
def client(redis_url: str) -> Client:
    return connect(redis_url)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records live a second."""
    monkeypatch.setattr(hosts, "TTL_S", 1)


def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def renewing(client: Client, one: HostRecord) -> tuple[Event, Thread]:
    """A worker that lives: its record is renewed until the event."""
    done = Event()

    def renew() -> None:
        own = one
        while not done.wait(0.1):
            own = hosts.renew(client, own)

    thread = Thread(target=renew, daemon=True)
    thread.start()
    return done, thread


def test_a_record_comes_back_as_it_was(client: Client) -> None:
    """Models, windows and queues included; it ends by itself if nobody renews it."""
    hosts.enter(client, record())
    assert hosts.live_hosts(client) == [record()]
    assert 0 < client.ttl(keys.host("box")) <= hosts.TTL_S
    assert (
        hosts.renew(
            client,
            record(),
        ).beat
        == 1
    )
    assert hosts.live_hosts(client) == [record(beat=1)]


def test_only_who_can_takes_work(client: Client) -> None:
    """A host in trouble or drained is live, and serves no queue."""
    hosts.enter(client, record())
    hosts.enter(client, record(id="down", trouble="it is off"))
    hosts.enter(client, record(id="away", drained=True))
    hosts.enter(client, record(id="other", queues=("llmq.host.other",)))
    live = hosts.live_hosts(client)
    assert [one.id for one in live] == ["away", "box", "down", "other"]
    assert [one.id for one in hosts.serving(live, "llmq.model.m")] == ["box"]


def test_a_clean_stop_frees_the_host_at_once(client: Client) -> None:
    """The next one need not wait; who left late does not take the successor's record along."""
    hosts.enter(client, record("first"))
    hosts.leave(client, record("first"))
    assert hosts.live_hosts(client) == []
    hosts.enter(client, record("second"))
    hosts.leave(client, record("first"))
    assert [one.incarnation for one in hosts.live_hosts(client)] == ["second"]


def test_a_dead_worker_of_this_machine_is_followed_at_once(client: Client, soon: None) -> None:
    """Its process is gone, so nobody will renew the record, however long that would live."""
    hosts.enter(client, record("first", pid=dead_pid()))
    client.persist(keys.host("box"))
    hosts.enter(client, record("second"))
    assert [one.incarnation for one in hosts.live_hosts(client)] == ["second"]


def test_a_dead_worker_elsewhere_is_followed_when_its_record_ends(client: Client, soon: None) -> None:
    """A process number of another machine says nothing here."""
    hosts.enter(client, record("first", machine="elsewhere", pid=dead_pid()))
    client.pexpire(keys.host("box"), 600)
    hosts.enter(client, record("second"))
    assert [one.incarnation for one in hosts.live_hosts(client)] == ["second"]


@pytest.mark.parametrize(("machine", "refused"), [(machine_id, HostTaken), (lambda: "elsewhere", NameTaken)])
def test_a_live_worker_is_not_replaced(
    client: Client, soon: None, machine: Callable[[], str], refused: type[HostTaken]
) -> None:
    """Who renews its record keeps the host, on this machine or another; the newcomer learns which."""
    first = record("first", machine=machine())
    hosts.enter(client, first)
    done, thread = renewing(client, first)
    with pytest.raises(HostTaken, match="'box' already has a live worker") as caught:
        hosts.enter(client, record("second"))
    done.set()
    thread.join()
    assert caught.type is refused
    assert [one.incarnation for one in hosts.live_hosts(client)] == ["first"]


def test_hosts_that_are_gone_are_forgotten(client: Client) -> None:
    """The list of ids does not grow with every machine there ever was."""
    hosts.enter(client, record())
    client.delete(keys.host("box"))
    assert hosts.live_hosts(client) == []
    assert client.smembers(keys.HOSTS) == set()


def test_a_worker_that_was_silent_leaves_the_record_of_a_newcomer(client: Client) -> None:
    """Renewal writes a record that has ended again, and never over another live worker's."""
    hosts.enter(client, record("first"))
    client.delete(keys.host("box"))
    assert hosts.renew(client, record("first")).beat == 1
    assert [one.incarnation for one in hosts.live_hosts(client)] == ["first"]
    client.delete(keys.host("box"))
    hosts.enter(client, record("second"))
    with pytest.raises(HostTaken, match="'box' has another worker now"):
        hosts.renew(client, record("first"))
    assert hosts.live_hosts(client) == [record("second")]


def test_a_record_of_the_dead_does_not_stop_the_living(client: Client) -> None:
    """Redis may come back with what a predecessor on this machine said."""
    client.set(keys.host("box"), record("first", pid=dead_pid()).to_json())
    hosts.renew(client, record("second"))
    assert [one.incarnation for one in hosts.live_hosts(client)] == ["second"]


def test_a_newer_workers_record_is_read(client: Client) -> None:
    """What it says of itself or of a model beyond what we know does no harm."""
    hosts.enter(client, record())
    said = json.loads(client.get(keys.host("box")))
    said["colour"] = said["models"][0]["colour"] = "blue"
    client.set(keys.host("box"), json.dumps(said))
    assert hosts.live_hosts(client) == [record()]
