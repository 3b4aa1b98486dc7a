"""One run under faults: a room with its own Redis, engines and workers, and what has to hold in the end."""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.room import Figure
from tasks.connection import Client
from tasks.ledger import keys
from tests.conftest import RedisServer
from tests.e2e.room import LLMQ, Room, Simulator, wait_until
from tests.fault.staff import Staff
from tests.fault.watch import Watch, consumers, ended, results

PAUSE_S = 0.1
SENTENCES = 8
WORD = re.compile(r"Word(\d+)x")


@dataclass
class Scene:
    """`service_s`: what every engine takes for an item. `environ` of a worker: see Staff."""

    room: Room
    server: RedisServer
    client: Client
    sims: dict[str, Simulator]
    staff: Staff
    watch: Watch
    service_s: float
    slots: int
    dice: Random
    run_id: str = ""
    items: int = 0
    bundles: int = 0
    changed: set[str] = field(default_factory=set)
    hung: dict[str, float] = field(default_factory=dict)  # URL -> its `cancelled_s` before it hung
    _kept: dict[str, str] = field(default_factory=dict)
    _later: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def submit(self, papers: int, prompts: int = 5, as_it_begins: Callable[[], None] = lambda: None) -> None:
        """A run of so many bundles and items, all of them queued when this returns. `as_it_begins` is
        called when the run is there and nothing is in a queue yet."""
        folder = self.room.papers(papers, SENTENCES)
        asked = [word for n in range(prompts) for word in ("-p", f"Question {n}?")]
        command = self.room.start(LLMQ, "submit", str(folder), "--fresh", *asked, log="submit.log")
        wait_until(lambda: self.client.scard(keys.OPEN), 30, "the run is there")
        as_it_begins()
        assert command.wait(120) == 0, self.room.said("submit.log")
        (self.run_id,) = self.client.smembers(keys.OPEN)
        self.bundles, self.items = papers, papers * prompts
        assert self.client.llen(keys.plan(self.run_id)) == papers
        assert self.client.zscore(keys.owed(self.run_id), keys.SUBMISSION) is None

    def keep(self) -> int:
        """Remember the results there are: they must not change any more. Returns how many."""
        for item, row in results(self.client, self.run_id).items():
            if self._kept.setdefault(item, row) != row:
                self.changed.add(item)
        return len(self._kept)

    @property
    def landed(self) -> int:
        """Results so far."""
        return int(self.client.llen(keys.done(self.run_id)))

    @property
    def left(self) -> int:
        """Items without a result."""
        return self.items - self.landed

    def calls(self, what: str) -> float:
        """A counter of the engines, summed."""
        return sum(sim.calls()[what] for sim in self.sims.values())

    def wait(self, until: Callable[[], Any], timeout_s: float, what: str) -> float:
        """Tend the staff until then. Returns the seconds it took."""
        begun = time.monotonic()

        def look() -> Any:
            self._tend()
            return until()

        wait_until(look, timeout_s, what)
        return time.monotonic() - begun

    def pause(self, for_s: float) -> None:
        """Let so much time pass, with the staff tended."""
        over = time.monotonic() + for_s
        while time.monotonic() < over:
            self._tend()
            time.sleep(PAUSE_S)

    def later(self, in_s: float, act: Callable[[], None]) -> None:
        """While the scene waits or pauses, `act` once so many seconds have passed."""
        self._later.append((time.monotonic() + in_s, act))

    def _tend(self) -> None:
        self.staff.tend()
        due = [one for one in self._later if one[0] <= time.monotonic()]
        for one in due:
            self._later.remove(one)
            one[1]()

    def finish(self, timeout_s: float) -> None:
        """To the end of the run, and until every worker and engine is at rest. An engine that hung may hang
        on to a call of a worker that does not know yet how fast it is (tasks/overdue.py)."""
        self.wait(lambda: ended(self.client, self.run_id), timeout_s, "the run ends")
        self.wait(lambda: not self.staff.asleep and not self._later, 120, "all are awake and mended")
        well = [sim for sim in self.sims.values() if sim.url not in self.hung]
        self.wait(lambda: not any(sim.calls()["running"] for sim in well), 60, "the engines are at rest")
        self.pause(2.0)  # a result that comes late would change what is counted below

    def outcome(self, *, most_twice: float) -> list[Figure]:
        """What has to hold after any fault; `most_twice`: per cent of the engine seconds."""
        rows = self.room.results(self.run_id)
        for row in rows:
            if not row["success"]:
                print(f"failed: {row['item_id']}: {row['error']}, before that {row['failures']}", flush=True)
        self.keep()
        counts = self.client.hgetall(keys.counts(self.run_id))
        own = {worker.pid for worker in self.staff.workers.values()}
        return [
            Figure("items without a result", self.items - len({row["item_id"] for row in rows}), most=0),
            Figure("items with more than one", len(rows) - len({row["item_id"] for row in rows}), most=0),
            Figure("items counted, beyond one each", abs(self.landed - self.items), most=0),
            Figure("failed items", int(counts.get("failed", 0)), most=0),
            Figure("results that changed", len(self.changed), most=0),
            Figure("answers that are not the engine's own", sum(map(_strange, rows)), most=0),
            Figure("done twice, of the engines' time", self._twice_percent(), "%", most=most_twice),
            Figure("calls that hang in the end", self.calls("running"), "calls"),
            Figure("calls beyond one an item", self.calls("started") - self.items, "calls"),
            Figure("workers that ended by themselves", self.staff.crashes, most=0),
            Figure("consumers that are not ours", len(consumers(self.client) - own), most=0),
        ]

    def _twice_percent(self) -> float:
        """Engine seconds for calls that were broken off, and for answers beyond one an item."""
        hung_s = sum(sim.calls()["cancelled_s"] - self.hung[sim.url] for sim in self._hung())
        twice_s = self.calls("cancelled_s") - hung_s
        twice_s += (self.calls("finished") - self.items) * self.service_s
        return 100 * twice_s / (self.items * self.service_s)

    def _hung(self) -> list[Simulator]:
        return [sim for sim in self.sims.values() if sim.url in self.hung]


def _strange(row: Mapping[str, Any]) -> bool:
    """Not what the simulated engine says of this paper: sentences of it and of no other."""
    number = str(int(row["file"].removeprefix("paper-").removesuffix(".txt")))
    said = row["response"]["response"] if row["success"] and row["simulated"] else ""
    return set(WORD.findall(said)) != {number}


@contextmanager
def scene(
    folder: Path,
    server: RedisServer,
    *,
    hosts: Mapping[str, Mapping[str, str]] | int = 4,
    slots: int,
    service_s: float,
    seed: int = 1,
    **environ: str,
) -> Iterator[Scene]:
    """Engines and a Redis that is up; no worker yet. `hosts`: how many, or each one's own environment."""
    names = {f"host-{n}": {} for n in range(1, hosts + 1)} if isinstance(hosts, int) else hosts
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LLMQ_")}
    own = {"LLMQ_REDIS_URL": server.url, "LLMQ_HOME": str(folder / "home"), "PYTHONPATH": ""}
    room = Room(folder, kept | own | environ)
    watch = Watch(room.redis())
    try:
        sims = {
            name: room.simulator(
                name, "openai", slots=slots, service_s=service_s, output_tokens=8, output_spread=0.0
            )
            for name in names
        }
        room.fleet(dict(sims), **{name: {"slots": slots} for name in names})
        staff = Staff(room, {name: dict(environ) for name, environ in names.items()})
        yield Scene(room, server, room.redis(), sims, staff, watch, service_s, slots, Random(seed))
    finally:
        watch.close()
        room.close()
