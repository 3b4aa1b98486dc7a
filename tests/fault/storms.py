"""Redis dies, and everything at once."""

from collections.abc import Callable
from functools import partial

from benchmarks.room import Figure
from tests.fault.kills import BETWEEN_S, END_S
from tests.fault.outage import kill_redis
from tests.fault.scene import Scene
from tests.fault.silence import BACK_S, QUEUE, mine
from tests.fault.watch import queued_beyond_due

KEPT_S = 2.0  # between the last result that must survive and the second that is lost
AFTER_S = 8.0
HALF_MINUTE_S = 25.0
DECK = ("kill",) * 6 + ("stop",) * 2 + ("freeze",) * 2 + ("redis",) * 2 + ("500", "hang")


def broker_loss(
    scene: Scene, *, papers: int, down_s: tuple[float, ...], lost_s: float = 0.0, most_twice: float = 2.0
) -> list[Figure]:
    """Redis is killed in the middle of a run and stays away; every worker goes on by itself."""
    scene.submit(papers)
    scene.staff.start()
    scene.wait(lambda: scene.landed > scene.items // 50, 60, "work is under way")
    figures = []
    threads = len(scene.sims) * (scene.slots + 1)
    for down in down_s:
        lost_bytes = outage(scene, down, lost_s)
        back_s, surplus = _back(scene)
        figures += [
            Figure(f"all work again after {down:g} s without Redis", back_s, "s", most=BACK_S),
            # One for each thread: kombu puts back what its consumers had when it connects again.
            # Those that were taken in a second that is lost are back as well.
            Figure("invitations beyond the due bundles", surplus, most=threads * (2 if lost_s else 1)),
            Figure("items left by then", scene.left, least=1),
        ]
        if lost_s:
            figures.append(Figure("bytes cut off the append-only file", lost_bytes, least=1))
    scene.finish(END_S)
    return [*figures, *scene.outcome(most_twice=most_twice)]


def outage(scene: Scene, down_s: float, lost_s: float) -> int:
    """Kill Redis, without the last `lost_s` seconds that it wrote, and start it again. Returns the bytes
    lost. Results that were there well before have to survive."""
    scene.keep()
    if lost_s:
        scene.pause(KEPT_S)
    lost_bytes = kill_redis(scene.server, lost_s=lost_s)
    scene.staff.faults["redis"] += 1
    scene.pause(down_s)
    scene.server.start()
    return lost_bytes


def _back(scene: Scene) -> tuple[float, int]:
    """Seconds until every worker has claimed a bundle anew; and the most invitations beyond the due bundles
    there were, meanwhile and a little longer."""
    before = {host: mine(scene, host) for host in scene.sims}
    most = 0

    def all_back() -> bool:
        nonlocal most
        most = max(most, queued_beyond_due(scene.client, scene.run_id, QUEUE))
        return all(mine(scene, host) - before[host] for host in before)

    back_s = scene.wait(all_back, 2 * BACK_S, "every worker takes work again")
    for _ in range(int(AFTER_S)):
        scene.pause(1.0)
        all_back()
    return back_s, most


def everything(scene: Scene, *, papers: int, deck: tuple[str, ...] = DECK) -> list[Figure]:
    """Kills, stops, freezes of 25 s, Redis killed for 1 to 15 s with its last second lost, an engine that
    answers 500 and one that hangs, in an order that the seed decides."""
    scene.submit(papers)
    scene.staff.start()
    scene.wait(lambda: scene.landed > scene.items // 50, 60, "work is under way")
    faults = {
        "kill": partial(_strike, scene, scene.staff.kill),
        "stop": partial(_strike, scene, scene.staff.stop),
        "freeze": partial(_strike, scene, lambda host: scene.staff.freeze(host, HALF_MINUTE_S)),
        "redis": lambda: outage(scene, scene.dice.uniform(1, 15), lost_s=1.0),
        "500": partial(_engine_fault, scene, "500"),
        "hang": partial(_engine_fault, scene, "hang"),
    }
    left = 0
    for name in scene.dice.sample(deck, len(deck)):
        scene.keep()
        left = scene.left
        faults[name]()
        scene.pause(scene.dice.uniform(*BETWEEN_S))
    scene.finish(END_S)
    counted = scene.staff.faults
    return [
        *(Figure(f"faults: {name}", counted[name], least=deck.count(name)) for name in dict.fromkeys(deck)),
        Figure("items left at the last fault", left, least=1),
        *scene.outcome(most_twice=4.0),
    ]


def _strike(scene: Scene, strike: Callable[[str], None]) -> None:
    """Some worker that is at work."""
    scene.wait(lambda: any(map(scene.staff.ready, scene.sims)), END_S, "a worker is ready")
    if victim := scene.staff.pick(scene.dice):
        strike(victim)


def _engine_fault(scene: Scene, mode: str) -> None:
    """Some engine fails for a while. What it hung is not work done twice."""
    scene.staff.faults[mode] += 1
    sim = scene.sims[scene.dice.choice(sorted(scene.sims))]
    sim.fault(mode)
    scene.later(HALF_MINUTE_S, lambda: sim.fault("ok"))
    if mode == "hang":
        scene.hung[sim.url] = sim.calls()["cancelled_s"]
