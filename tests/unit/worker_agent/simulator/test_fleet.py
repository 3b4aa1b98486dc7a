"""A simulated fleet from one file: what is drawn, what comes again, and what is told when it is wrong."""

import math
import re
import statistics
from dataclasses import MISSING, fields, replace
from pathlib import Path

import pytest

from worker_agent.errors import ConfigError
from worker_agent.simulator.drift import slowdown
from worker_agent.simulator.faults import Faults
from worker_agent.simulator.fleet import MOST, Simulated, load_machines
from worker_agent.simulator.machine import Ask, Machine
from worker_agent.simulator.models import load_time_s
from worker_agent.simulator.profile import Profile, make_profile

PROFILES = Path("configs/profiles")
HOST = '[[host]]\nid = "{id}"\nwire = "openai"\nmodels = ["m"]\nttft_s = 0.1\ndecode_tps = 100\n'


def fleet(folder: Path, text: str, seed: int = 1) -> tuple[Simulated, ...]:
    file = folder / "room.toml"
    file.write_text(text)
    return load_machines(str(file), seed)


def plain(**more: object) -> Profile:
    rates = {"ttft_s": 0.1, "decode_tps": 100.0, "output_spread": 0.0}
    return make_profile({"name": "x", "wire": "openai", "models": ["m"]} | rates | more)


def first_s(machine: Machine, prompt: str) -> float:
    return machine.plan(Ask("1", "m", prompt)).chunks[0].due_s


@pytest.mark.parametrize(("name", "machines"), [("living-room", 5), ("lab-35", 35), ("gpu-box", 3)])
def test_the_fleets_of_the_repository_can_be_used(name: str, machines: int) -> None:
    """As many machines as their first line says, no two alike in name or seed."""
    made = load_machines(str(PROFILES / f"{name}.toml"), seed=1)
    assert len(made) == len({one.id for one in made}) == len({one.seed for one in made}) == machines
    assert all(0.3 < one.profile.speed < 3 for one in made)


def test_same_seed_same_fleet() -> None:
    """Speeds and seeds come again with the seed, on any computer (hence the figures), and differ with
    another."""
    file = str(PROFILES / "living-room.toml")
    assert load_machines(file, 7) == load_machines(file, 7)
    assert {one.profile.speed for one in load_machines(file, 7)} & {
        one.profile.speed for one in load_machines(file, 8)
    } == {1.0}, "what has no spread is as it is written"
    mac, *_, pi = load_machines(file, 1)
    assert (mac.id, mac.seed, round(mac.profile.speed, 6)) == ("mac-1", 780023204, 1.011309)
    assert (pi.id, pi.profile.models) == ("pi-2", ("sim-8b", "sim-3b")), "what a host says goes before"


def test_a_host_more_changes_no_other(tmp_path: Path) -> None:
    """Each one's draws hang on its id alone."""
    spread = HOST + "speed_spread = 0.3\n"
    one = fleet(tmp_path, spread.format(id="a"))
    two = fleet(tmp_path, spread.format(id="b") + spread.format(id="a"))
    assert one[0] == two[1]


def test_same_seed_same_plan_to_the_millisecond() -> None:
    """Text, number of tokens and every due time of an answer; the figures are of one computer and hold on
    all."""
    (mac, *_) = load_machines(str(PROFILES / "living-room.toml"), 1)
    ask = Ask("1", "sim-8b", "<paper>One is a sentence. Two is another one of them.</paper>\nSummarize.")
    plans = [Machine(mac.profile, mac.seed).plan(ask) for _ in range(2)]
    assert plans[0] == plans[1]
    first, last = plans[0].chunks[0], plans[0].chunks[-1]
    assert (round(first.due_s, 6), round(last.due_s, 6)) == (0.000883, 0.143432)
    assert Machine(mac.profile, 2).plan(ask) != plans[0]


def test_times_are_drawn_about_what_is_written() -> None:
    """The median of many requests is the written one, and their spread the written sigma."""
    machine = Machine(plain(ttft_spread=0.2), seed=1)
    logs = [math.log(first_s(machine, f"prompt {k}") / 0.1) for k in range(2000)]
    assert statistics.median(logs) == pytest.approx(0, abs=0.015)
    assert statistics.stdev(logs) == pytest.approx(0.2, abs=0.01)
    gaps = []
    for k in range(500):
        chunks = Machine(plain(decode_spread=0.3), 1).plan(Ask("1", "m", f"prompt {k}")).chunks
        assert chunks[0].due_s == pytest.approx(0.1), "the first token has its own spread"
        tokens = sum(chunk.tokens for chunk in chunks)
        gaps.append(math.log((chunks[-1].due_s - chunks[0].due_s) / (tokens - 1) * 100))
    assert statistics.stdev(gaps) == pytest.approx(0.3, abs=0.03)
    loads = [math.log(load_time_s(plain(load_s=1.0, load_spread=0.2), 1, "m", n)) for n in range(500)]
    assert statistics.stdev(loads) == pytest.approx(0.2, abs=0.02)


def test_a_machine_of_half_the_speed_takes_twice_as_long() -> None:
    """For the first token, for each further one and for a load."""
    slow, usual = (Machine(plain(speed=speed, load_s=1.0), 1).plan(Ask("1", "m", "x")) for speed in (0.5, 1))
    assert (slow.chunks[0].due_s, slow.chunks[-1].due_s) == pytest.approx(
        (2 * usual.chunks[0].due_s, 2 * usual.chunks[-1].due_s)
    )
    assert load_time_s(plain(speed=0.5, load_s=1.0), 1, "m", 1) == 2.0


def test_heat_comes_after_a_while_and_stays() -> None:
    """Full speed at first, then slower and slower, then as written; time_scale scales the moments, too."""
    hot = plain(throttle=2.0, throttle_after_s=100, throttle_over_s=50)
    assert [slowdown(hot, t) for t in (0, 100, 125, 150, 9999)] == [1, 1, 1.5, 2, 2]
    assert slowdown(replace(hot, time_scale=0.1), 12.5) == pytest.approx(1.5)
    assert slowdown(replace(hot, throttle_over_s=0.0), 101) == 2
    assert slowdown(plain(), 9999) == 1


def test_a_share_of_the_requests_fails_the_same_ones_each_time() -> None:
    """About as many as written; the same seed the same ones; asked again, most of them succeed."""
    runs = [Faults("500", 0, 0.1, seed) for seed in (1, 1, 2)]
    said = [[faults.take(["m", k]) for k in range(1000)] for faults in runs]
    assert said[0] == said[1] != said[2]
    failed = [k for k, fault in enumerate(said[0]) if fault == "500"]
    assert 70 <= len(failed) <= 130
    assert sum(runs[0].take(["m", k]) == "500" for k in failed) < len(failed) / 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HOST.format(id="a") + "slots = 0\n", r"room\.toml.*\n  host 1 \(a\): slots: "),
        (HOST.format(id="a") + "sped = 1\n", r"host 1 \(a\): unknown key 'sped'; did you mean 'speed'\?"),
        (HOST.format(id="a") + "ttft_spread = 9\n", r"host 1 \(a\): ttft_spread: "),
        (HOST.format(id="a b"), r"host 1: id: "),
        (HOST.format(id="a") + HOST.format(id="a"), "two machines are called a"),
        (HOST.format(id="a") + f"count = {MOST + 1}\n", "host 1: count: "),
        (
            HOST.format(id="a") + "count = 40\n" + HOST.format(id="b") + "count = 40\n",
            f"80 machines; {MOST} is the most",
        ),
        (HOST.format(id="a") + 'profile = "laptob"\n', "host 1: profile: .*laptob.*laptop"),
        (
            "fast = true\n" + HOST.format(id="a"),
            r"room\.toml: unknown key 'fast' \(known: host, seed, time_scale\)",
        ),
        ("host = []\n", r"room\.toml: host: "),
    ],
)
def test_what_is_wrong_is_told_with_file_host_and_key(tmp_path: Path, text: str, told: str) -> None:
    """So that it is found at once."""
    with pytest.raises(ConfigError, match=re.compile(told, re.DOTALL)):
        fleet(tmp_path, text)


def test_every_key_stands_in_the_documents_with_its_default() -> None:
    """docs/simulator.md has a row for each key of a profile, and none that there is not."""
    rows = dict(
        re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|", Path("docs/simulator.md").read_text(), re.M)
    )
    known = {field.name: field.default for field in fields(Profile)}
    own = {"id", "count", "profile", "speed_spread"}
    assert set(rows) == set(known) - {"name"} | own
    for key, default in known.items():
        if key != "name":
            wanted = "required" if default is MISSING else str(default).lower().removesuffix(".0")
            assert rows[key].strip("` ") == wanted, key


def test_who_says_the_seed(tmp_path: Path) -> None:
    """The caller's wins, then the file's, then that for files without one; a fleet's counts for machines
    that start from a file with another."""
    (tmp_path / "own.toml").write_text("seed = 9\n" + HOST.format(id="a").replace('[[host]]\nid = "a"\n', ""))
    text = '[[host]]\nid = "a"\nspeed_spread = 0.3\nprofile = "own.toml"\n'
    (tmp_path / "plain.toml").write_text(text)
    (tmp_path / "seeded.toml").write_text("seed = 5\n" + text)

    def made(name: str, seed: int | None = None, **otherwise: int) -> tuple[Simulated, ...]:
        return load_machines(str(tmp_path / f"{name}.toml"), seed, **otherwise)

    assert made("seeded") == made("seeded", otherwise=8) == made("plain", 5)
    assert made("plain", otherwise=5) == made("seeded")
    assert made("seeded", 0) == made("plain", 0) != made("seeded")
    assert made("plain") == made("plain", 1) != made("plain", 5)
    assert [one.seed for one in made("own")] == [9]
    (tmp_path / "wrong.toml").write_text(f'seed = "five"\n{text}')
    with pytest.raises(ConfigError, match=r"wrong\.toml: seed: 'five' is not a whole number"):
        made("wrong")
