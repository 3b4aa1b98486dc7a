"""Workers that die: at once started anew, or gone for good, asleep, or cut off."""

from benchmarks.room import Figure
from tests.fault.scene import Scene

BETWEEN_S = (3.0, 5.0)
END_S = 900.0


def kills(scene: Scene, *, papers: int, times: int, most_twice: float, redelivered_s: float) -> list[Figure]:
    """SIGKILL of a random worker every few seconds, mid-run; each is started anew at once."""
    scene.submit(papers)
    scene.staff.start()
    left = scene.items
    scene.wait(lambda: scene.landed > scene.items // 50, 60, "work is under way")
    while scene.left > scene.items // 20 and scene.staff.faults["kill"] < times:
        scene.keep()
        scene.pause(scene.dice.uniform(*BETWEEN_S))
        if victim := scene.staff.pick(scene.dice):
            left = scene.left
            scene.staff.kill(victim)
            scene.watch.struck(victim)
    scene.finish(END_S)
    return [
        Figure("kills", scene.staff.faults["kill"], least=times),
        Figure("items left at the last kill", left, least=1),
        Figure("half ran again before a lease could end", scene.watch.redelivery_s(0.5), "s", most=14.0),
        *redelivery(scene, most_s=redelivered_s, least=times),
        *scene.outcome(most_twice=most_twice),
    ]


def redelivery(scene: Scene, *, most_s: float, least: int) -> list[Figure]:
    """From the fault until a struck bundle has another holder, or is done."""
    return [
        Figure("bundles struck while held", len(scene.watch.losses), least=least),
        Figure("redelivery, median", scene.watch.redelivery_s(0.5), "s"),
        Figure("redelivery, p99", scene.watch.redelivery_s(0.99), "s", most=most_s),
        Figure("redelivery, longest", scene.watch.redelivery_s(1.0), "s"),
    ]
