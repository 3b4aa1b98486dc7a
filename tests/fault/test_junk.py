"""Whatever anybody pushes into Redis: a worker sets it aside, says so, and goes on."""

import base64
import json
import pickle
import random
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery

from tasks import junk
from tasks.connection import connect
from tasks.errors import BadMessage, ProtocolMismatch
from tasks.invite import Invitation, envelope
from tasks.junk import MOST, SHOWN, Junk, all_junk, check
from tasks.work import PROTOCOL
from tests.e2e.room import Room, wait_until

QUEUE = "llmq.any"
Change = Callable[[dict[str, Any]], Any]


def message(change: Change = lambda message: None, queue: str = QUEUE) -> bytes:
    """An invitation, changed."""
    made = json.loads(envelope(Invitation("r1", 3, QUEUE), queue))
    change(made)
    return json.dumps(made).encode()


def with_body(body: Any) -> bytes:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return message(lambda one: one.update(body=base64.b64encode(text).decode()))


def with_arguments(**arguments: Any) -> bytes:
    links = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    right = {"run": "r1", "bundle": 3, "queue": QUEUE, "protocol": PROTOCOL}
    wanted = {key: value for key, value in (right | arguments).items() if value is not None}
    return with_body([[], wanted, links])


def with_header(name: str, value: Any) -> bytes:
    return message(lambda one: one["headers"].update({name: value}))


# What a message is -> a word of the reason.
JUNK = {
    b"hello": "JSON",
    b"": "JSON",
    b"\xff\xfe\x00": "UTF-8",
    b"[" * 100_000: "JSON",
    b"x" * 200_000: "200000 bytes",
    b"[]": "object",
    b"null": "object",
    b"{}": "body",
    b'{"body": 1}': "body",
    b'{"body": "\\ud800"}': "UTF-8",
    message(lambda one: one.update(body="not base64!")): "base64",
    with_body(b"not json"): "JSON",
    with_body({}): "body",
    with_body([[], {"run": "r1"}, {}]): "bundle",
    with_arguments(run=None): "run",
    with_arguments(run=7): "run",
    with_arguments(run="r1 3\nllmq"): "run",
    with_arguments(bundle="three"): "bundle",
    with_arguments(bundle=-1): "bundle",
    with_arguments(bundle=10**400): "bundle",
    with_arguments(queue=["llmq.any"]): "queue",
    with_arguments(protocol=True): "protocol",
    with_arguments(protocol="1"): "protocol",
    with_arguments(evil="more"): "evil",
    with_header("task", "os.system"): "task",
    with_header("task", ["llmq.complete"]): "task",
    with_header("id", 5): "id",
    with_header("eta", "2999-01-01T00:00:00"): "eta",
    with_header("compression", "application/x-bz2"): "compression",
    message(lambda one: one.update(headers=None)): "headers",
    message(lambda one: one.pop("headers")): "headers",
    message(lambda one: one.pop("properties")): "properties",
    message(lambda one: one["properties"].pop("delivery_tag")): "delivery_tag",
    message(lambda one: one["properties"].update(delivery_tag={})): "delivery_tag",
    message(lambda one: one["properties"].update(priority="high")): "priority",
    message(lambda one: one["properties"].update(delivery_info=None)): "delivery_info",
    message(lambda one: one.update({"content-type": "application/x-python-serialize"})): "content-type",
    message(
        lambda one: one.update(
            {
                "content-type": "application/x-python-serialize",
                "body": base64.b64encode(pickle.dumps([])).decode(),
            }
        )
    ): "python-serialize",
    message(queue="llmq.model.other"): "routing_key",
}


@pytest.mark.parametrize("raw", JUNK, ids=[f"{n}-{word}" for n, word in enumerate(JUNK.values())])
def test_junk_is_told_with_its_reason(raw: bytes) -> None:
    """A person reads what is wrong with it."""
    with pytest.raises(BadMessage, match=JUNK[raw]):
        check(raw, QUEUE)


def test_an_invitation_is_none() -> None:
    """Ours pass, first and redelivered ones; another version's are no junk but another version's."""
    check(message(), QUEUE)
    check(message(queue="llmq.any.retry"), "llmq.any.retry")
    check(with_header("redelivered", True), QUEUE)
    check(message(lambda one: one["properties"]["delivery_info"].update(redelivered=True)), QUEUE)
    with pytest.raises(ProtocolMismatch):
        check(with_arguments(protocol=PROTOCOL + 1), QUEUE)


def test_a_quick_look_lets_pass_only_what_a_slow_one_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own messages are told by their letters; whatever differs in one of them is looked at closely, or
    would have been found good."""
    dice = random.Random(1)
    own = envelope(Invitation("r1", 3, QUEUE, "a.txt: 5 prompts, m"), QUEUE).encode()
    assert junk._to_the_letter(own, QUEUE)
    changed = [bytearray(own) for _ in range(5000)]
    for one in changed:
        one[dice.randrange(len(one))] = dice.randrange(256)
    passed = [bytes(one) for one in (*changed, *JUNK) if junk._to_the_letter(bytes(one), QUEUE)]
    assert not set(passed) & set(JUNK)
    assert passed
    monkeypatch.setattr(junk, "_to_the_letter", lambda *_: False)
    for raw in passed:
        check(raw, QUEUE)


def mutated(seed: int) -> bytes:
    """An invitation in which one member, anywhere, is gone or another thing."""
    dice = random.Random(seed)
    made = json.loads(message())
    values: list[Any] = [None, 0, -1, 1e308, "", "x" * 999, [], {}, [[]], {"x": 1}, True, "\x00", "ü"]

    def change(one: dict[str, Any]) -> None:
        key = dice.choice(list(one))
        if isinstance(one[key], dict) and one[key] and dice.random() < 0.8:
            return change(one[key])
        if dice.random() < 0.3:
            del one[key]
        else:
            one[key] = dice.choice(values)

    change(made)
    return json.dumps(made).encode()


@pytest.fixture
def worker(room: Room) -> "subprocess.Popen[bytes]":
    room.fleet({"desk": room.simulator("desk", "openai", service_s=0.05)})
    return room.worker("desk")


def kept(room: Room) -> list[Junk]:
    return all_junk(room.redis())


def test_a_worker_outlives_all_of_it(room: Room, worker: "subprocess.Popen[bytes]") -> None:
    """Each piece is set aside once and reported; the same process answers the next paper, holds nothing
    back, and `llmq doctor` tells of the newest."""
    client = connect(room.environ["LLMQ_REDIS_URL"], decode=False)
    for number, raw in enumerate(JUNK):
        client.lpush(QUEUE + ("", ".retry", "\x06\x163")[number % 3], raw)
    wait_until(lambda: len(kept(room)) == len(JUNK), 20, "all of it is set aside")
    assert worker.poll() is None, room.said("worker-desk.log")[-3000:]
    assert all(len(one.text) <= SHOWN and one.text.isprintable() and one.seen_ms > 0 for one in kept(room))
    client.lpush(QUEUE, *map(mutated, range(MOST)), b"the last")
    submitted = room.llmq("submit", "-p", "Well?", "--name", "after", "--wait", timeout_s=30)
    assert submitted.returncode == 0, submitted.stderr
    wait_until(lambda: not client.llen(QUEUE) and not client.hlen("unacked"), 10, "nothing is left")
    assert worker.poll() is None, room.said("worker-desk.log")[-3000:]
    log = room.said("worker-desk.log")
    assert "Traceback" not in log, log[-3000:]
    assert "set aside a message of llmq.any: it is not JSON: hello" in log
    assert len(kept(room)) <= MOST
    said = room.llmq("doctor", "--fleet", "fleet.toml")
    assert said.returncode == 0, said.stdout
    assert f"! junk: {len(kept(room))} messages set aside" in said.stdout
    assert kept(room)[0].reason in said.stdout


def test_a_worker_outlives_what_is_said_on_its_control_channel(
    room: Room, worker: "subprocess.Popen[bytes]"
) -> None:
    """It is no control message, whatever it is; the next real one is answered."""
    client = connect(room.environ["LLMQ_REDIS_URL"], decode=False)
    wait_until(lambda: client.publish("/0.celery.pidbox", b"hello"), 10, "the worker listens")
    for raw in (*JUNK, *map(mutated, range(20))):
        client.publish("/0.celery.pidbox", raw)
    celery = Celery(broker=room.environ["LLMQ_REDIS_URL"])
    assert wait_until(lambda: celery.control.ping(timeout=3, limit=1), 20, "it answers a ping")
    assert worker.poll() is None, room.said("worker-desk.log")[-3000:]
    assert "left alone what is no control message" in room.said("worker-desk.log")


def test_a_worker_outlives_keys_that_are_something_else(room: Room) -> None:
    """Somebody wrote texts where Celery keeps lists and sets: it says so while it cannot take messages, and
    does without the records of those it takes."""
    for key in ("unacked", "unacked_index", "llmq.host.desk"):
        room.redis().set(key, "hello")
    room.fleet({"desk": room.simulator("desk", "openai", service_s=0.05)})
    started = room.worker("desk")
    wait_until(lambda: "refuses the consumer: WRONGTYPE" in room.said("worker-desk.log"), 10, "it says so")
    room.redis().delete("llmq.host.desk")
    answer = room.llmq("submit", "-p", "Well?", "--wait", timeout_s=30)
    assert answer.returncode == 0, answer.stderr
    assert started.poll() is None


def test_another_versions_invitation_is_reported_and_its_work_stays_owed(
    room: Room, worker: "subprocess.Popen[bytes]"
) -> None:
    """The invitation of a message nobody here can read is made again, and the paper is answered."""
    worker.terminate()
    worker.wait(20)
    assert room.llmq("submit", "-p", "Well?").returncode == 0
    client = room.redis()
    run = client.zrange("llmq:runs", 0, -1)[0]
    assert client.llen(QUEUE) == 1
    client.delete(QUEUE)
    client.lpush(QUEUE, with_arguments(run=run, bundle=0, protocol=PROTOCOL + 1))
    room.worker("desk")
    wait_until(lambda: kept(room), 20, "it is reported")
    assert f"protocol {PROTOCOL + 1}" in kept(room)[0].reason
    assert room.llmq("watch", run, timeout_s=30).returncode == 0
    assert [one["success"] for one in room.results()] == [True]
