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
from typing import Any
from urllib.parse import urlsplit

from tasks.connection import Client
from worker_agent.config import Host


@dataclass(frozen=True, slots=True)
class Pulled:
    """When its first request was sent and its last answer was in Redis, in seconds since 1970."""

    begun_at: float
    ended_at: float

    @property
    def makespan_s(self) -> float:
        return self.ended_at - self.begun_at


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
