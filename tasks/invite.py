"""Invitations: Celery messages that ask a worker to look at a bundle, written straight to its queue.

The only place that writes Celery's envelope (task protocol 2 over kombu's virtual transport);
tests/integration/test_invite.py holds it against what Celery's own producer writes. Many go in one
round trip.
"""

import base64
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from tasks.connection import Client
from tasks.queues import RETRY_SUFFIX
from tasks.work import PROTOCOL
from worker_agent.machine import hostname

TASK = "llmq.complete"
ORIGIN = f"{os.getpid()}@{hostname()}"

# What is another in every message: blanks in a form that is written once for a queue. Nobody can guess
# them, so no name of a queue has one in it.
_BODY, _TASK_ID, _TAG, _BUNDLE, _ARGS = (f"<{secrets.token_hex(8)}>" for _ in range(5))
_HEADERS: dict[str, object] = {
    "lang": "py",
    "task": TASK,
    "id": _TASK_ID,
    "shadow": None,
    "eta": None,
    "expires": None,
    "group": None,
    "group_index": None,
    "retries": 0,
    "timelimit": [None, None],
    "root_id": _TASK_ID,
    "parent_id": None,
    "argsrepr": _ARGS,  # what Flower shows; the run is in the id, the rest in the body
    "kwargsrepr": f"{{'bundle': {_BUNDLE}}}",
    "origin": ORIGIN,
    "ignore_result": True,
    "replaced_task_nesting": 0,
    "stamped_headers": None,
    "stamps": {},
}
_compact = json.JSONEncoder(separators=(",", ":")).encode


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
    messages: dict[str, list[str]] = {}
    for invitation in invitations:
        queue = invitation.queue + RETRY_SUFFIX if again else invitation.queue
        messages.setdefault(queue, []).append(envelope(invitation, queue))
    pipe = client.pipeline(transaction=False)
    for queue, of_queue in messages.items():
        pipe.lpush(queue, *of_queue)
    pipe.execute()
    return sum(map(len, messages.values()))


def written(value: object) -> str:
    """JSON without spaces, but for the one before an id: kombu writes it when it delivers again, and by it
    lua/withdraw.lua knows a run's messages."""
    return _compact(value).replace('"id":"', '"id": "')


def envelope(invitation: Invitation, queue: str) -> str:
    """One message as kombu stores it in a Redis list."""
    tag = secrets.token_hex(8)
    task_id = f"{invitation.run_id}-{invitation.bundle}.{tag[:8]}"
    body = _body(invitation.run_id, invitation.queue).replace(_BUNDLE, str(invitation.bundle))
    return (
        _message(queue)
        .replace(_BODY, base64.b64encode(body.encode()).decode())
        .replace(_TASK_ID, task_id)
        .replace(_TAG, tag)
        .replace(_BUNDLE, str(invitation.bundle))
        .replace(_ARGS, json.dumps(f"({invitation.label})")[1:-1])
    )


@lru_cache(maxsize=64)
def _body(run_id: str, queue: str) -> str:
    kwargs = {"run": run_id, "bundle": _BUNDLE, "queue": queue, "protocol": PROTOCOL}
    links = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    return written([[], kwargs, links]).replace(f'"{_BUNDLE}"', _BUNDLE)


@lru_cache(maxsize=64)
def _message(queue: str) -> str:
    return written(
        {
            "body": _BODY,
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": _HEADERS,
            "properties": {
                "correlation_id": _TASK_ID,
                "reply_to": "",
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": queue},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": _TAG,
            },
        }
    )
