"""A machine with room for one model that is asked for two."""

from tests.e2e.room import Room, wait_until


def test_a_host_does_not_go_back_and_forth(room: Room) -> None:
    """Two runs of equal standing ask for a model each; each model is loaded once, and both runs end."""
    models = ["sim-8b", "sim-70b"]
    sim = room.simulator("box", "ollama", slots=2, models=models, resident=1, load_s=0.5)
    room.fleet({"box": sim}, box={"slots": 2, "models": models})
    papers = str(room.papers(12))
    runs = [room.llmq("submit", papers, "-p", "Why?", "--model", model).stdout.split()[0] for model in models]
    room.worker("box")
    for run in runs:
        wait_until(lambda run=run: room.status(run)["ended_ms"], 60, "the run ends")
        assert room.status(run)["successful"] == 12
    assert sim.calls()["loads"] == 2
