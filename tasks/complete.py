"""The Celery task: a worker follows an invitation."""

import time
from typing import Any

from celery import Task

from tasks.celery import app
from tasks.errors import ProtocolMismatch
from tasks.invite import TASK, Invitation
from tasks.work import PROTOCOL


@app.task(bind=True, name=TASK, ignore_result=True)
def complete(self: "Task[Any, Any]", run: str, bundle: int, queue: str, protocol: int) -> str:
    """Claim a bundle and carry it; returns what came of it. The work stays owed until it is committed,
    whatever happens to this message. Raises ProtocolMismatch for another version's message."""
    if protocol != PROTOCOL:
        time.sleep(1.0)  # the work stays owed and is invited again: refuse it at a walk
        raise ProtocolMismatch(
            f"a message of protocol {protocol}, and this worker speaks {PROTOCOL}: run the same llmq on all "
            "machines"
        )
    return str(self.app.serving.serve(Invitation(run, bundle, queue)))
