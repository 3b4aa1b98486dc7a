"""An engine that hangs or fails, among four that are well."""

from benchmarks.room import Figure
from tests.fault.kills import END_S
from tests.fault.scene import Scene


def bad_engine(scene: Scene, *, papers: int, fault: str, most: float = 1.3) -> list[Figure]:
    """The same work twice: by all hosts but the last, then with the last one failing from the start."""
    *well, bad = scene.sims
    scene.staff.start(*well)
    alone_s = _time(scene, papers)
    scene.sims[bad].fault(fault)
    before = scene.sims[bad].calls()
    scene.staff.start(bad)
    with_s = _time(scene, papers)
    calls = scene.sims[bad].calls()
    asked = sum(calls[what] - before[what] for what in ("started", "refused"))
    counts = scene.client.hgetall(f"llmq:counts:{scene.run_id}")
    return [
        Figure("four hosts alone", alone_s, "s"),
        Figure(f"with one that answers: {fault}", with_s, "s"),
        Figure("ratio", with_s / alone_s, most=most),
        Figure("calls that the bad one got", asked, least=1),
        Figure("answers it gave", calls["finished"] - before["finished"], most=0),
        Figure("failed items", int(counts.get("failed", 0)), most=0),
        Figure("items without a result", scene.left, most=0),
    ]


def _time(scene: Scene, papers: int) -> float:
    """One run from submit to its last result, by the clock of Redis."""
    scene.submit(papers)
    scene.wait(lambda: scene.client.hexists(f"llmq:run:{scene.run_id}", "ended"), END_S, "the run ends")
    created, ended = scene.client.hmget(f"llmq:run:{scene.run_id}", "created", "ended")
    return (int(ended) - int(created)) / 1000
