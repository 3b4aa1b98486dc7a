"""The plainest client a fleet can have, to compare llmq with: a thread for each slot takes one item after
the other from a Redis list, in the order of submission, asks that slot's engine over a connection that stays
open, and puts the answer into another list. No bundles, no policy, no leases, answers not streamed."""

import http.client
import json
import secrets
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.room import MODEL, Ended, ask, ended
from benchmarks.slot_time import Called, called
from tasks.connection import Client
from tasks.intake.prompts import Prompt, layout
from tasks.request import asked
from tasks.session import Session
from worker_agent.config import Host


@dataclass(frozen=True, slots=True)
class Pulled:
    """When its first request was sent and its last answer was in Redis, in seconds since 1970."""

    begun_at: float
    ended_at: float

    @property
    def makespan_s(self) -> float:
        return self.ended_at - self.begun_at


@dataclass(frozen=True, slots=True)
class Seen:
    """One run of llmq, what the engines saw of it, and the same by a plain client."""

    run: Ended
    calls: list[Called]
    pulled: Pulled


def side_by_side(work: Session, hosts: Sequence[Host], papers: Path, prompts: Sequence[str] = ()) -> Seen:
    """A run of llmq, then the same requests by the plain client. Without prompts, the preset `research`."""
    wanted = asked([papers], prompts=prompts)
    run = ended(work, ask(work, wanted), wanted.manifest.prompts)
    calls = called(hosts, f"{run.status.run_id}-")
    return Seen(run, calls, pull_all(work.client, hosts, requests_of(papers, run.prompts)))


def requests_of(papers: Path, prompts: Sequence[Prompt]) -> list[dict[str, Any]]:
    """A run's requests in the order of submission, each the body of a chat completion."""
    made = []
    for paper in sorted(papers.iterdir()):
        for prompt in prompts:
            system, user = layout(prompt, paper.read_text(), paper.name)
            messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
            made.append({"model": MODEL, "messages": messages, "max_tokens": 1024})
    return made


def pull_all(client: Client, hosts: Sequence[Host], bodies: Sequence[dict[str, Any]]) -> Pulled:
    """All the requests answered. Raises whatever goes wrong: this client gives nothing a second try."""
    todo, done = (f"bench:{what}:{secrets.token_hex(4)}" for what in ("todo", "done"))
    client.rpush(todo, *(json.dumps(body) for body in bodies))
    slots = [host for host in hosts for _ in range(host.slots or 1)]
    with ThreadPoolExecutor(len(slots)) as threads:
        ends = list(threads.map(lambda host: _pull(client, host, todo, done), slots))
    if client.llen(done) != len(bodies):
        raise SystemExit(f"{client.llen(done)} answers to {len(bodies)} requests")
    client.delete(done)
    return Pulled(min(begun for begun, _ in ends), max(ended for _, ended in ends))


def _pull(client: Client, host: Host, todo: str, done: str) -> tuple[float, float]:
    """One slot's work, until the list is empty: its first request and its last answer."""
    begun_at, ended_at = float("inf"), 0.0
    engine = http.client.HTTPConnection(urlsplit(host.url).netloc, timeout=60)
    while body := client.lpop(todo):
        begun_at = min(begun_at, time.time())
        engine.request("POST", "/v1/chat/completions", str(body), {"Content-Type": "application/json"})
        reply = engine.getresponse()
        answer = reply.read()
        if reply.status != 200:
            raise SystemExit(f"{host.url}: {answer!r}")
        client.rpush(done, answer)
        ended_at = time.time()
    engine.close()
    return begun_at, ended_at
