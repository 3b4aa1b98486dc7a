"""An item that kills or freezes whichever worker asks it."""

import asyncio
import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from benchmarks.room import Figure
from tests.fault.kills import END_S
from tests.fault.proxy import Link, Proxy
from tests.fault.scene import Scene

HOLDERS = 3
ASLEEP_S = 100.0  # longer than three leases


class Trap(Proxy):
    """A way to an engine; `strike` is called when a request with all of `marks` passes."""

    def __init__(self, target_port: int, marks: tuple[bytes, ...], strike: Callable[[], None]) -> None:
        super().__init__(target_port)
        self._marks, self._strike = marks, strike

    def _deliver(self, link: Link, sink: asyncio.StreamWriter, piece: bytes) -> None:
        if sink is link.writers[1] and all(mark in piece for mark in self._marks):
            self._strike()
        super()._deliver(link, sink, piece)


def poison(scene: Scene, *, papers: int, how: str, paper: int = 7, question: int = 2) -> list[Figure]:
    """One prompt of one paper kills its worker, or puts it to sleep for longer than its lease (`how`: kill,
    freeze). Workers are started anew; that item alone is set aside, and everything else is answered."""
    marks = (f"Word{paper}x".encode(), f"Question {question}?".encode())
    strikes: dict[str, Callable[[str], None]] = {
        "kill": scene.staff.kill,
        "freeze": lambda host: scene.staff.freeze(host, ASLEEP_S),
    }
    struck: list[str] = []

    def strike(host: str) -> None:
        struck.append(host)
        strikes[how](host)

    with ExitStack() as stack:
        lay_traps(scene, stack, marks, strike)
        scene.submit(papers)
        scene.staff.start()
        scene.finish(END_S)
    rows = scene.room.results(scene.run_id)
    failed = [row for row in rows if not row["success"]]
    kinds = {row["error"]["type"] for row in failed}
    theirs = [row for row in failed if f"{paper:03}" in row["file"] and str(question) in row["prompt_name"]]
    return [
        Figure("workers that the item struck", len(struck), least=HOLDERS, most=HOLDERS),
        Figure(
            "items set aside as poison", len(theirs) if kinds == {"poison"} else math.nan, least=1, most=1
        ),
        Figure("other items that failed", len(failed) - len(theirs), most=0),
        Figure("items without a result", scene.items - len({row["item_id"] for row in rows}), most=0),
    ]


def lay_traps(
    scene: Scene, stack: ExitStack, marks: tuple[bytes, ...], strike: Callable[[str], None]
) -> None:
    """A trap between each worker and its engine."""
    fronts = {}
    for host, sim in scene.sims.items():
        trap = Trap(int(sim.url.rsplit(":", 1)[1]), marks, lambda host=host: strike(host))  # type: ignore[misc]
        stack.callback(trap.close)
        fronts[host] = replace(sim, url=f"http://127.0.0.1:{trap.port}")
    scene.room.fleet(dict(fronts), **{host: {"slots": scene.slots} for host in fronts})
