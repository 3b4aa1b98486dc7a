"""Flower, unchanged, shows the fleet."""

import json
import urllib.error
import urllib.request
from typing import Any

from tests.conftest import free_port
from tests.e2e.room import CELERY, Room, wait_until


def test_flower_shows_workers_and_tasks_under_their_names(room: Room) -> None:
    """`celery -A tasks flower`: the worker as <host>@<machine>, the task with its paper in words."""
    room.fleet({"box": room.simulator("box", "openai", service_s=0.05)})
    port = free_port()
    room.start(
        *CELERY, "flower", "--address=127.0.0.1", f"--port={port}",
        log="flower.log", FLOWER_UNAUTHENTICATED_API="true",
    )  # fmt: skip

    def page(path: str) -> Any:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as reply:
                body = reply.read().decode()
                return json.loads(body) if path.startswith("/api") else body
        except (urllib.error.URLError, OSError):
            return None

    assert wait_until(lambda: page("/healthcheck"), 40, "flower is up") == "OK"
    room.worker("box")
    wait_until(
        lambda: any((page("/api/workers?status=1") or {}).values()), 20, "flower hears the worker's events"
    )
    papers = room.papers(2)
    assert room.llmq("submit", str(papers), "-p", "Why?", "-p", "How?", "--wait").returncode == 0

    def ended() -> Any:
        tasks = page("/api/tasks") or {}
        return len(tasks) == 2 and all(task["state"] == "SUCCESS" for task in tasks.values()) and tasks

    tasks = wait_until(ended, 20, "flower has seen both tasks from their start to their end")
    assert all(task["received"] and task["started"] and task["succeeded"] for task in tasks.values())
    assert {task["name"] for task in tasks.values()} == {"llmq.complete"}
    assert all(task["worker"].startswith("box@") for task in tasks.values())
    assert any("paper-000.txt: 2 prompts" in task["args"] for task in tasks.values())
    workers = wait_until(lambda: page("/api/workers?refresh=1"), 20, "flower knows the worker")
    assert [name for name in workers if name.startswith("box@")]
