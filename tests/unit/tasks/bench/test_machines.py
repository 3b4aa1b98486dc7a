"""Which hosts of a benchmark take turns."""

from tasks.bench.machines import lanes, taking_turns
from tasks.hosts import HostRecord


def host(name: str, machine: str) -> HostRecord:
    return HostRecord(name, "x", "desk", 1, "openai", 1, (), engine_machine=machine)


def test_engines_on_one_machine_share_a_lane() -> None:
    """A line names those of each machine; who is alone on its own, and who names none because it is
    simulated, has a lane of its own; with `--shared` all have."""
    fleet = [
        host("b", "mac"),
        host("a", "mac"),
        host("c", "mac"),
        host("pi", "pi"),
        host("s", ""),
        host("t", ""),
    ]
    found = lanes(fleet, shared=False)
    assert len(set(found.values())) == 4
    assert found["a"] == found["b"] == found["c"]
    assert taking_turns(found) == ["a, b and c share a machine, so they take turns (--shared: they do not)"]
    assert taking_turns(lanes(fleet, shared=True)) == []


def test_a_machine_may_be_called_like_a_host() -> None:
    """They are two things."""
    assert taking_turns(lanes([host("mac", ""), host("a", "mac")], shared=False)) == []
