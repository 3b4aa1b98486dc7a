"""The Celery task: a worker follows an invitation."""

from typing import Any

from celery import Task

from tasks.celery import app
from tasks.invite import TASK


@app.task(bind=True, name=TASK, ignore_result=True)
def complete(self: "Task[Any, Any]", run: str, bundle: int, queue: str, protocol: int) -> str:
    """Claim a bundle and carry it; returns what came of it. The work stays owed until it is committed,
    whatever happens to this message. `protocol` was checked before Celery saw it (tasks/transport.py)."""
    return str(self.app.serving.serve())
