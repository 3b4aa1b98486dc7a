"""Invitations: Celery messages that ask a worker to look at a bundle, written straight to its queue.

The only place that writes Celery's envelope (task protocol 2 over kombu's virtual transport);
tests/integration/test_invite.py holds it against what Celery's own producer writes. Many go in one
round trip.
"""

import base64
import json
import os
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from tasks.connection import Client
from tasks.work import PROTOCOL, RETRY_SUFFIX
from worker_agent.machine import hostname

TASK = "llmq.complete"
ORIGIN = f"{os.getpid()}@{hostname()}"


@dataclass(frozen=True, slots=True)
class Invitation:
    """Look at this bundle of this run first; any other that is due in its queue will do as well.
    `label` is what Flower shows."""

    run_id: str
    bundle: int
    queue: str
    label: str = ""


def invite(client: Client, invitations: Iterable[Invitation], *, again: bool = False) -> int:
    """Put invitations into their queues; `again`: into the retry queues, consumed first.
    Returns how many."""
    pipe = client.pipeline(transaction=False)
    count = 0
    for invitation in invitations:
        queue = invitation.queue + RETRY_SUFFIX if again else invitation.queue
        pipe.lpush(queue, envelope(invitation, queue))
        count += 1
    pipe.execute()
    return count


def envelope(invitation: Invitation, queue: str) -> str:
    """One message as kombu stores it in a Redis list."""
    message_id = str(uuid.uuid4())
    kwargs = {
        "run": invitation.run_id,
        "bundle": invitation.bundle,
        "queue": invitation.queue,
        "protocol": PROTOCOL,
    }
    links = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    body = json.dumps([[], kwargs, links]).encode()
    task_id = f"{invitation.run_id}-{invitation.bundle}.{message_id[:8]}"
    message = {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": _headers(task_id, invitation.label, kwargs),
        "properties": {
            "correlation_id": task_id,
            "reply_to": "",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": message_id,
        },
    }
    return json.dumps(message)


def _headers(task_id: str, label: str, kwargs: dict[str, object]) -> dict[str, object]:
    return {
        "lang": "py",
        "task": TASK,
        "id": task_id,
        "shadow": None,
        "eta": None,
        "expires": None,
        "group": None,
        "group_index": None,
        "retries": 0,
        "timelimit": [None, None],
        "root_id": task_id,
        "parent_id": None,
        "argsrepr": f"({label})" if label else "()",
        "kwargsrepr": repr(kwargs),
        "origin": ORIGIN,
        "ignore_result": True,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
    }
