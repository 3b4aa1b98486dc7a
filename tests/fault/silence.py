"""Workers that fall silent: dead for good, asleep, or cut off from Redis while their engine answers."""

import math
from collections.abc import Callable

from benchmarks.room import Figure
from tasks.ledger import keys
from tests.fault.kills import END_S, redelivery
from tests.fault.proxy import Mode, Proxy
from tests.fault.scene import Scene
from tests.fault.watch import queued_beyond_due

REDELIVERED_S = 20.0
BACK_S = 30.0
QUEUE = "llmq.any"
TRIES = 8


def through(scene: Scene, host: str) -> Proxy:
    """A network of its own between this host's worker and Redis."""
    proxy = Proxy(scene.server.port)
    url = scene.server.url.replace(f":{scene.server.port}/", f":{proxy.port}/")
    scene.staff.environs[host]["LLMQ_REDIS_URL"] = url
    return proxy


def silent(scene: Scene, *, papers: int, how: str, for_s: float = 45.0) -> list[Figure]:
    """The first host's worker dies for good, sleeps, or is cut off (`how`: kill, freeze, cut) while it
    holds bundles: they run elsewhere."""
    host = next(iter(scene.sims))
    proxy = through(scene, host)
    try:
        _start(scene, papers, host)
        strikes: dict[str, Callable[[], None]] = {
            "kill": lambda: scene.staff.kill(host, for_good=True),
            "freeze": lambda: scene.staff.freeze(host, for_s),
            "cut": lambda: proxy.set("cut"),
        }
        strikes[how]()
        scene.watch.struck(host)
        scene.wait(lambda: scene.watch.open == 0, for_s, "all that it held runs again")
        proxy.set("pass")
        scene.finish(END_S)
        return [*redelivery(scene, most_s=REDELIVERED_S, least=2), *scene.outcome(most_twice=5.0)]
    finally:
        proxy.close()


def partition(scene: Scene, *, papers: int, for_s: float, mode: Mode = "cut") -> list[Figure]:
    """The first host's worker is cut off from Redis while its engine answers; the network comes back."""
    host = next(iter(scene.sims))
    proxy = through(scene, host)
    try:
        _start(scene, papers, host)
        finished = scene.sims[host].calls()["finished"]
        own = scene.client.get(keys.host(host))
        proxy.set(mode)
        scene.watch.struck(host)
        scene.keep()
        scene.pause(for_s)
        answered = scene.sims[host].calls()["finished"] - finished
        before = mine(scene, host)
        scene.keep()
        proxy.set("pass")
        back_s = scene.wait(lambda: mine(scene, host) - before, 2 * BACK_S, "it takes work again")
        left = scene.left
        scene.finish(END_S)
        return [
            Figure("answers it got while cut off", answered, least=1),
            Figure("it had a record of its own", int(bool(own)), least=1),
            Figure("takes work again after the network is back", back_s, "s", most=BACK_S),
            Figure("items left by then", left, least=1),
            *redelivery(scene, most_s=REDELIVERED_S, least=2),
            *scene.outcome(most_twice=5.0),
        ]
    finally:
        proxy.close()


def sleep(scene: Scene, *, papers: int, for_s: float) -> list[Figure]:
    """One worker sleeps while it works, another when it waits for a message: Redis hands it one that it
    never reads. Both wake later, with a second result of what has been done meanwhile."""
    idle, busy, *others = scene.sims
    scene.staff.start(idle)
    swallowed = _submit_to_a_sleeper(scene, papers, idle)
    scene.staff.start(busy, *others)
    replaced_s = scene.wait(
        lambda: queued_beyond_due(scene.client, scene.run_id, QUEUE) >= 0,
        BACK_S,
        "the invitation is replaced",
    )
    scene.wait(lambda: scene.client.scard(keys.held(busy)) > 0, 20, f"{busy} is at work")
    scene.staff.freeze(busy, math.inf)
    scene.watch.struck(busy)
    scene.keep()
    scene.pause(for_s)
    before = {host: mine(scene, host) for host in (busy, idle)}
    scene.staff.wake(busy)
    scene.staff.wake(idle)
    back_s = scene.wait(
        lambda: all(mine(scene, host) - before[host] for host in before), 2 * BACK_S, "both take work again"
    )
    scene.finish(END_S)
    return [
        Figure("messages that the sleeping idle worker was handed", swallowed, least=1),
        Figure("until a new invitation stands for it", replaced_s, "s", most=BACK_S),
        Figure("both take work again after", back_s, "s", most=BACK_S),
        *redelivery(scene, most_s=BACK_S, least=1),
        *scene.outcome(most_twice=5.0),
    ]


def slow_redis(scene: Scene, *, papers: int, delay_s: float = 0.2) -> list[Figure]:
    """Redis is far away for the first host's worker: it works slower. Its last items look late until their
    commits arrive, so that each slot of the other may try one again, as at any run's end."""
    host = next(iter(scene.sims))
    proxy = through(scene, host)
    proxy.delay_s = delay_s
    try:
        scene.staff.start()  # before there is work: who is far away needs longer to be there
        scene.submit(papers)
        scene.finish(END_S)
        counts = scene.client.hgetall(keys.counts(scene.run_id))
        return [
            Figure("items answered far away", int(counts.get(f"successful:{host}", 0)), least=1),
            Figure("calls for nothing", scene.calls("started") - scene.items, most=scene.slots),
            *scene.outcome(most_twice=2.0),
        ]
    finally:
        proxy.close()


def _start(scene: Scene, papers: int, host: str) -> None:
    """Everything is queued, all workers are up, and this host holds what it can."""
    scene.submit(papers)
    scene.staff.start()
    scene.wait(
        lambda: scene.client.scard(keys.held(host)) >= 2 and scene.landed > 0, 30, f"{host} is at work"
    )


def mine(scene: Scene, host: str) -> set[str]:
    """What this host's worker holds, by token: new ones are new claims."""
    members = [member.split(" ") for member in scene.client.smembers(keys.held(host))]
    tokens = [scene.client.hget(keys.bundle_prefix(run) + n, "holder") for run, n in members]
    return {token for token in tokens if token}


def _submit_to_a_sleeper(scene: Scene, papers: int, idle: str) -> int:
    """Submit while the only worker has just fallen asleep. Returns how many messages Redis handed it.
    It waits for a second at a time: where it happens to be between two waits, try again."""
    for _ in range(TRIES):
        scene.submit(papers, as_it_begins=lambda: scene.staff.freeze(idle, math.inf))
        if swallowed := int(scene.bundles - scene.client.llen(QUEUE)):
            return swallowed
        scene.room.llmq("cancel", scene.run_id)
        scene.client.delete(QUEUE)
        scene.staff.wake(idle)
        scene.pause(1.0)
    return 0
