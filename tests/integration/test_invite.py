"""Our envelope is Celery's: compared with what its own producer writes."""

import base64
import json
from typing import Any

import pytest
from celery import Celery
from kombu import Queue

from tasks.connection import connect
from tasks.invite import TASK, Invitation, invite
from tasks.work import PROTOCOL

# What is another in every message, or says who wrote it.
OWN = {"delivery_tag", "id", "root_id", "correlation_id", "origin", "reply_to", "argsrepr", "kwargsrepr"}


def scrubbed(value: Any) -> Any:
    """The message without what is its own."""
    if isinstance(value, dict):
        return {key: "own" if key in OWN else scrubbed(one) for key, one in value.items()}
    return value


def read(client: Any, queue: str) -> dict[str, Any]:
    return dict(json.loads(client.rpop(queue)))


def test_it_is_what_celery_writes(redis_url: str) -> None:
    """Same structure, same values, same body."""
    client = connect(redis_url)
    kwargs = {"run": "r1", "bundle": 3, "queue": "llmq.any", "protocol": PROTOCOL}
    app = Celery(broker=redis_url)
    app.conf.task_queues = [Queue("llmq.any", exchange="", routing_key="llmq.any")]
    app.send_task(TASK, kwargs=kwargs, queue="llmq.any", ignore_result=True)
    theirs = read(client, "llmq.any")
    assert invite(client, [Invitation("r1", 3, "llmq.any", "a.txt: 5 prompts")]) == 1
    ours = read(client, "llmq.any")
    assert json.loads(base64.b64decode(ours["body"])) == json.loads(base64.b64decode(theirs["body"]))
    assert scrubbed(ours) == scrubbed(theirs) | {"body": ours["body"]}


@pytest.mark.parametrize("name", ['"}, {"', "100 %s", "\\", "<a>", "na\u00efve\u2028"])
def test_names_stay_what_they_are(redis_url: str, name: str) -> None:
    """No queue, run or label breaks the form that messages are written from."""
    client = connect(redis_url)
    invite(client, [Invitation("r1", 3, name, name), Invitation("r2", 4, name, name)])
    for run, bundle in (("r1", 3), ("r2", 4)):
        message = read(client, name)
        kwargs = {"run": run, "bundle": bundle, "queue": name, "protocol": PROTOCOL}
        assert json.loads(base64.b64decode(message["body"]))[1] == kwargs
        assert message["properties"]["delivery_info"]["routing_key"] == name
        assert message["headers"]["argsrepr"] == f"({name})"
        assert message["headers"]["kwargsrepr"] == f"{{'bundle': {bundle}}}"
        assert message["headers"]["id"].startswith(f"{run}-{bundle}.")
        assert message["headers"]["id"] == message["headers"]["root_id"]


def test_again_goes_into_the_retry_queue(redis_url: str) -> None:
    """It is consumed first, and its message still names the queue of the work."""
    client = connect(redis_url)
    invite(client, [Invitation("r1", 3, "llmq.any")], again=True)
    assert client.llen("llmq.any") == 0
    message = read(client, "llmq.any.retry")
    assert message["properties"]["delivery_info"]["routing_key"] == "llmq.any.retry"
    assert json.loads(base64.b64decode(message["body"]))[1]["queue"] == "llmq.any"


def test_every_message_is_another(redis_url: str) -> None:
    """Two invitations for one bundle have two ids: Celery keeps unacknowledged messages by them."""
    client = connect(redis_url)
    invite(client, [Invitation("r1", 3, "llmq.any")] * 2)
    first, second = read(client, "llmq.any"), read(client, "llmq.any")
    assert first["headers"]["id"] != second["headers"]["id"]
    assert first["properties"]["delivery_tag"] != second["properties"]["delivery_tag"]
