"""Hosts that fail: what is pinned to them ends with its reason, in bounded time, and they are used again as
soon as they are well."""

import csv
import json
from typing import Any

import pytest

from tests.e2e.room import LLMQ, Room, Simulator, wait_until

MANY = 12  # one request each once the host is given up: four, seconds apart, take longer than the test waits
QUICK = {"LLMQ_HEALTH_CHECK_INTERVAL": "2"}


def prompts(many: int) -> list[str]:
    return [f"Why is {n} so?" for n in range(many)]


def two_hosts(room: Room, many: int = MANY) -> dict[str, Simulator]:
    sims = {
        name: room.simulator(name, "openai", models=[f"{name}-model"], service_s=0.05)
        for name in ("bad", "good")
    }
    room.fleet(dict(sims))
    (room.folder / "suite.toml").write_text(
        'generate = ["good-model", "bad-model@bad"]\nsummarize = ["good-model@good"]\n'
        + "\n".join(
            f'[[prompt]]\nname = "p{n}"\ntemplate = {json.dumps(text)}'
            for n, text in enumerate(prompts(many))
        )
    )
    return sims


def asking(kind: str) -> tuple[str, ...]:
    """The command that asks all prompts of the bad host, with an output of its results."""
    words = [word for text in prompts(MANY) for word in ("-p", text)]
    command = {
        "run": ("run", "--model", "bad-model", *words),
        "chain": ("chain", *words, "--generate", "bad-model@bad", "--summarize", "good-model"),
        "matrix": ("matrix", "suite.toml"),
    }[kind]
    return (*command, "-o", "out.json", "-o", "out.csv")


def document(room: Room) -> dict[str, Any]:
    return dict(json.loads((room.folder / "out.json").read_text()))


@pytest.mark.parametrize("kind", ["run", "chain", "matrix"])
def test_a_host_that_fails_every_request_ends_its_work(room: Room, kind: str) -> None:
    """However much is pinned to it: it is tried again and again, then each item once more, and the run ends.
    Each row says why, the others are answered, the terminal says who is down and why, with exit code 1."""
    sims = two_hosts(room)
    sims["bad"].fault("500")
    done = room.llmq(*asking(kind), timeout_s=60, **QUICK)
    assert done.returncode == 1, done.stderr
    assert "bad is down: openai at bad: HTTP 500: simulated fault" in done.stderr
    assert not [
        line for line in done.stderr.splitlines() if "waiting for host bad" in line and " left" in line
    ]
    rows = document(room)["results"]
    own = [row for row in rows if row["host"] == "bad" and row["error"]["type"] != "upstream_failed"]
    assert len(own) == MANY
    assert {row["error"]["type"] for row in own} == {"bad_reply"}
    assert all("HTTP 500: simulated fault" in row["error"]["message"] for row in own)
    assert any("bad fails every request: not asked again" in row["error"]["message"] for row in own)
    after = [row["error"] for row in rows if row["error"] and row["error"]["type"] == "upstream_failed"]
    assert len(after) == (0 if kind == "run" else MANY)
    assert all(error["message"].startswith("generate failed: bad_reply: ") for error in after)
    assert sum(row["success"] for row in rows) == (2 * MANY if kind == "matrix" else 0)
    with (room.folder / "out.csv").open(newline="") as file:
        assert [row["error_type"] for row in csv.DictReader(file)] == [
            row["error"]["type"] if row["error"] else "" for row in rows
        ]


def test_a_host_that_recovers_is_used(room: Room) -> None:
    """It failed for a while, and nothing is lost: all that is pinned to it is answered there."""
    sims = two_hosts(room)
    sims["bad"].fault("500")
    child = room.start(LLMQ, *asking("matrix"), log="matrix.log")
    wait_until(lambda: "bad is down: " in room.said("matrix.log"), 30, "the host is found out")
    wait_until(lambda: sims["bad"].calls()["refused"] >= 5, 30, "it is tried again")
    sims["bad"].fault("ok")
    assert child.wait(90) == 0, room.said("matrix.log")
    assert (document(room)["successful"], document(room)["failed"]) == (4 * MANY, 0)


def test_a_host_that_fails_half_its_requests_loses_nothing(room: Room) -> None:
    """About every other one: each item is asked until it is answered, all on the one host."""
    sims = two_hosts(room, many=6)
    sims["bad"].fault("500", rate=0.5)
    done = room.llmq(*asking("matrix"), timeout_s=90, **QUICK)
    assert done.returncode == 0, done.stderr
    assert sims["bad"].calls()["refused"] == 5, "of these eleven tries, by its seed"
    asked = [row for row in document(room)["results"] if row["host"] == "bad"]
    assert len(asked) == 6
