"""Memory of real processes, found by the port they listen on."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest
import requests

from tests.llama.server import LlamaServer
from worker_agent.meters.listener import Listener
from worker_agent.meters.meter import LAST_LOOK_S, LAST_READING_S, Meter
from worker_agent.meters.source import Seen, Source

pytest_plugins = ["tests.llama.plugin"]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="by /proc; by psutil elsewhere, not verified")

MIB = 2**20
SYSTEM_PYTHON = "/usr/bin/python3"
ROOT = Path(__file__).parents[2]
ENGINE = """
import os, socket, subprocess, sys
role, = sys.argv[1:]
if "NAME" in os.environ:
    open("/proc/self/comm", "w").write(os.environ["NAME"])
sock = socket.socket()
if role == "runner":
    print("runner", flush=True)
else:
    sock.bind(("127.0.0.1", int(os.environ.get("PORT", 0))))
    sock.listen()
    print(sock.getsockname()[1], flush=True)
if role == "engine-with-runner":
    runner = subprocess.Popen([sys.executable, "-c", os.environ["ENGINE"], "runner"], stdin=sys.stdin)
    runner.wait()
for line in sys.stdin:
    held = bytearray(b"x") * (int(line) * 2**20)
    print("held", flush=True)
"""


class Engine:
    """A process that listens, and takes as many MiB as it is told."""

    def __init__(
        self, role: str, *, port: int = 0, python: tuple[str, ...] = (sys.executable,), **environ: str
    ) -> None:
        self.process = subprocess.Popen(
            [*python, "-c", ENGINE, role],
            env=os.environ | {"ENGINE": ENGINE, "PORT": str(port)} | environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self.heard())
        if role == "engine-with-runner":
            assert self.heard() == "runner"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def heard(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def hold(self, size_mib: int) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{size_mib}\n")
        self.process.stdin.flush()
        assert self.heard() == "held"

    def end(self) -> None:
        if self.process.stdin:
            self.process.stdin.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def start() -> Iterator[Callable[..., Engine]]:
    engines: list[Engine] = []

    def one(role: str = "engine", **how: object) -> Engine:
        engines.append(Engine(role, **how))  # type: ignore[arg-type]
        return engines[-1]

    yield one
    for engine in engines:
        engine.end()


@pytest.fixture
def meter_of() -> Iterator[Callable[..., Meter]]:
    meters: list[Meter] = []

    def one(*arguments: object, **how: object) -> Meter:
        meters.append(Meter(*arguments, **how))  # type: ignore[arg-type]
        return meters[-1]

    yield one
    for meter in meters:
        meter.close()


def until(true: Callable[[], object], what: str, within_s: float = 15.0) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def peak_mib(metered: object) -> float:
    return (metered.peak.rss_bytes or 0) / MIB  # type: ignore[attr-defined]


@pytest.mark.parametrize("role", ["engine", "engine-with-runner"])
def test_what_an_engine_or_its_runner_takes_is_found_by_its_port(role, start, meter_of) -> None:
    """200 MiB more are 200 MiB more within 5 %, also where a child of the listener holds them."""
    engine = start(role)
    meter = meter_of(engine.url)
    with meter.during() as before:
        until(lambda: peak_mib(before), "the engine was not found")
    with meter.during() as metered:
        engine.hold(200)
        until(lambda: peak_mib(metered) - peak_mib(before) > 150, "the 200 MiB were not seen")
    figures = metered.figures()
    grown = figures["mem_rss_mib_peak"] - before.figures()["mem_rss_mib_peak"]
    assert grown == pytest.approx(200, rel=0.05)
    assert figures["mem_source"] == "proc"
    assert figures["mem_system_used_mib_peak"] > figures["mem_system_delta_mib"]


def test_a_peak_stays_when_the_memory_is_given_back(start, meter_of) -> None:
    """It is the most while it ran, not what is there at its end; the next call's is its own."""
    engine = start()
    meter = meter_of(engine.url)
    with meter.during() as metered:
        engine.hold(200)
        until(lambda: peak_mib(metered) > 150, "the 200 MiB were not seen")
        engine.hold(1)
        at = time.monotonic()
        until(lambda: meter._looked_at > at, "it looks no more")
    with meter.during() as later:
        until(lambda: peak_mib(later), "the engine was lost")
    assert metered.figures()["mem_rss_mib_peak"] > 200
    assert later.figures()["mem_rss_mib_peak"] < 100


def test_an_engine_that_vanishes_leaves_what_was_seen_and_its_successor_is_found(start, meter_of) -> None:
    """A crash within a call does not cost its figures, and the meter goes on with who has the port next."""
    engine = start()
    meter = meter_of(engine.url)
    with meter.during() as metered:
        engine.hold(200)
        until(lambda: peak_mib(metered) > 150, "the 200 MiB were not seen")
        engine.end()
        at = time.monotonic()
        until(lambda: meter._looked_at > at + 1, "it looks no more")
    assert metered.figures()["mem_rss_mib_peak"] == pytest.approx(212, rel=0.1)
    start(port=engine.port)
    with meter.during() as later:
        until(lambda: peak_mib(later), "the new engine was not found", within_s=30)


def test_where_nobody_listens_nothing_is_known(meter_of) -> None:
    """No memory of this machine is told of an engine that is not on it."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and does not listen
        meter = meter_of(f"http://127.0.0.1:{bound.getsockname()[1]}")
        with meter.during() as metered:
            until(lambda: meter._looked_at > 0, "it did not look")
        assert metered.figures() == {}


def test_of_another_machine_nothing_is_measured(meter_of) -> None:
    """What could be measured would be the client: no thread stays, and no call waits for it."""
    meter = meter_of("http://192.0.2.1:11434")
    with meter.during() as metered:
        until(lambda: meter._off, "it goes on looking")
    assert metered.figures() == {}
    begun = time.monotonic()
    for _ in range(100):
        with meter.during() as metered:
            pass
    assert time.monotonic() - begun < 100 * LAST_LOOK_S / 2
    assert metered.figures() == {}


def test_the_own_address_is_this_machine_and_a_documentation_address_is_not() -> None:
    """Not only loopback: an engine may be named by the address that others use."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no route")
        own = sock.getsockname()[0]
    assert Listener(f"http://{own}:1").local
    assert Listener("http://localhost:1").local
    assert not Listener("http://192.0.2.1:1").local


def test_a_tunnel_is_not_the_engine(start, meter_of) -> None:
    """Behind `ssh -L` the engine is on another machine: nothing of this one is told."""
    meter = meter_of(start(NAME="ssh").url)
    with meter.during() as metered:
        until(lambda: meter._looked_at > 0, "it did not look")
    assert metered.figures() == {}


@pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists(SYSTEM_PYTHON),
    reason="needs root, to be two other accounts, and a Python that these may run",
)
def test_an_engine_of_another_account_is_found_by_its_family(start) -> None:
    """The sockets of a service's account are hidden from a worker's; its only family of processes is not."""
    engine = start("engine-with-runner", python=("setpriv", "--reuid=61234", "--clear-groups", SYSTEM_PYTHON))
    look = (
        "import os; from worker_agent.meters.listener import Listener\n"
        f"Listener('{engine.url}').processes()  # imports whatever it may need\n"
        f"listener = Listener('{engine.url}')\n"
        "os.setgroups([]); os.setuid(61235)\n"
        "print(*listener.processes())"
    )
    command = [sys.executable, "-c", look]
    seen = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert str(engine.process.pid) in seen.split()
    assert len(seen.split()) == 2


class Heater(Source):
    """10 W, always."""

    every_s = 0.0

    def read(self, engine: object) -> Seen:
        return Seen(power_w=10.0, energy="heater")


def test_calls_at_a_time_share_the_energy_of_the_time_they_share(start, meter_of) -> None:
    """Three calls, two of them at a time: their joules add up to 10 W times the time that any of them ran,
    while each tells the machine's power."""
    meter = meter_of(start().url, sources=lambda: [Heater()])
    figures, spans = [], []

    def call(for_s: float) -> None:
        with meter.during() as metered:
            begun = time.monotonic()
            time.sleep(for_s)
            spans.append((begun, time.monotonic()))
        figures.append(metered.figures())

    with meter.during(shared=False) as cell:
        begun = time.monotonic()
        calls = [threading.Thread(target=call, args=(for_s,)) for for_s in (0.6, 1.2)]
        for one in calls:
            one.start()
        for one in calls:
            one.join()
        call(0.6)
        took_s = time.monotonic() - begun
    (first_at, first_end), (second_at, second_end), (third_at, third_end) = spans
    any_s = max(first_end, second_end) - min(first_at, second_at) + third_end - third_at
    both_s = min(first_end, second_end) - max(first_at, second_at)
    first_s = first_end - first_at - both_s / 2  # what the first one has to itself
    assert both_s > 0.5, "two at a time"
    assert {one["energy_source"] for one in figures} == {"heater"}
    assert sum(one["energy_j"] for one in figures) == pytest.approx(10 * any_s, rel=0.05)
    assert cell.figures()["energy_j"] == pytest.approx(10 * took_s, rel=0.05)
    assert figures[0]["energy_j"] == pytest.approx(figures[0]["power_w_mean"] * first_s, rel=0.15)
    assert figures[2]["power_w_mean"] == pytest.approx(10.0, rel=0.05)


class Counter(Source):
    """20 W, by a counter that is read once a second."""

    def read(self, engine: object) -> Seen:
        return Seen(counter_j=20.0 * time.monotonic(), energy="counter")


def test_requests_of_a_recording_are_told_when_all_are_over(start, meter_of) -> None:
    """Two at a time, then one: the joules of all are 20 W times the time that any ran, also of one far
    shorter than the time between two readings; each is told the machine's power and by what."""
    meter = meter_of(start().url, sources=lambda: [Counter()])

    def ask(item: int, for_s: float) -> None:
        with meter.asking(recording, item):
            time.sleep(for_s)

    with meter.recording() as recording:
        threads = [threading.Thread(target=ask, args=(item, for_s)) for item, for_s in ((0, 0.6), (1, 1.5))]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        ask(2, 0.05)
        told = meter.energy_of(recording)
    (first_s, first_end), (second_s, second_end) = recording.spans[0], recording.spans[1]
    both_s = min(first_end, second_end) - max(first_s, second_s)
    took_s = [end - begin for _, (begin, end) in sorted(recording.spans.items())]
    assert both_s > 0.5, "two at a time"
    assert told.keys() == {0, 1, 2}
    assert sum(one["energy_j"] for one in told.values()) == pytest.approx(
        20 * (sum(took_s) - both_s), rel=0.02
    )
    alone_s = [took_s[0] - both_s / 2, took_s[1] - both_s / 2, took_s[2]]
    assert [told[item]["energy_j"] for item in range(3)] == pytest.approx([20 * s for s in alone_s], rel=0.05)
    assert {round(one["power_w_mean"]) for one in told.values()} == {20}
    assert {one["energy_source"] for one in told.values()} == {"counter"}
    apart_s = [later.at - earlier.at for earlier, later in pairwise(recording.readings)]
    assert all(0 < one["energy_every_s"] <= max(apart_s) + 0.001 for one in told.values())
    assert median(apart_s) < 1.2


def test_calls_beside_a_recording_have_their_part_and_it_has_its(start, meter_of) -> None:
    """As where a benchmark shares its host: two at a time are two, whoever they are of."""
    meter = meter_of(start().url, sources=lambda: [Counter()])
    figures = []

    def call() -> None:
        with meter.during() as metered:
            both.wait()
            time.sleep(1.5)
        figures.append(metered.figures())

    both = threading.Barrier(2)
    beside = threading.Thread(target=call)
    with meter.recording() as recording:
        beside.start()
        with meter.asking(recording, 0):
            both.wait()
            time.sleep(1.5)
        beside.join()
        told = meter.energy_of(recording)
    assert told[0]["energy_j"] == pytest.approx(15, rel=0.1)
    assert figures[0]["energy_j"] == pytest.approx(15, rel=0.1)


def test_a_source_that_breaks_leaves_requests_without_energy_and_makes_none_wait(start, meter_of) -> None:
    """Those before it have their energy, those after it none; where it hangs, no request waits for it."""
    broken, hanging = threading.Event(), threading.Event()

    class Frail(Counter):
        def read(self, engine: object) -> Seen:
            if hanging.is_set():
                time.sleep(2)
            if broken.is_set():
                raise RuntimeError("no such sensor")
            return super().read(engine)

    def slowest_s(meter: Meter, items: Sequence[int]) -> float:
        waited_s = []
        for item in items:
            begun = time.monotonic()
            with meter.asking(recording, item):
                time.sleep(0.05)
            waited_s.append(time.monotonic() - begun - 0.05)
        return max(waited_s)

    meter = meter_of(start().url, sources=lambda: [Frail()])
    with meter.recording() as recording:
        slowest_s(meter, range(30))
        broken.set()
        slowest_s(meter, range(30, 60))
        told = meter.energy_of(recording)
    assert {0, 1, 2} <= told.keys()
    assert not told.keys() & set(range(50, 60))
    broken.clear()
    meter = meter_of(start().url, sources=lambda: [Frail()])
    with meter.recording() as recording:
        hanging.set()
        assert slowest_s(meter, range(30)) < 0.03
        hanging.clear()
        begun = time.monotonic()
        meter.energy_of(recording)
        assert time.monotonic() - begun < LAST_READING_S + 0.1


def test_where_nobody_tells_energy_a_recording_waits_for_none(start, meter_of) -> None:
    """Of an engine elsewhere, or of a machine without a source, nothing is known at once."""
    for meter in (meter_of("http://192.0.2.1:11434"), meter_of(start().url, sources=list)):
        begun = time.monotonic()
        with meter.recording() as recording:
            with meter.asking(recording, 0):
                pass
            assert meter.energy_of(recording) == {}
        assert time.monotonic() - begun < 1.0


def test_a_source_that_breaks_or_hangs_costs_no_call(start, meter_of) -> None:
    """The others go on; a call waits for a last look no longer than it may."""
    broken, hanging = threading.Event(), threading.Event()

    class Broken(Source):
        def read(self, engine: object) -> Seen:
            broken.set()
            raise RuntimeError("no such sensor")

    class Hanging(Heater):
        def read(self, engine: object) -> Seen:
            if broken.is_set() and hanging.is_set():
                time.sleep(2)
            return super().read(engine)

    meter = meter_of(start().url, sources=lambda: [Broken(), Hanging()])
    with meter.during() as metered:
        until(lambda: broken.is_set() and metered._energy, "the other source was not read")
    assert metered.figures()["energy_source"] == "heater"
    hanging.set()
    time.sleep(1.2)  # no look is fresh any more
    begun = time.monotonic()
    with meter.during():
        pass
    assert time.monotonic() - begun < 1.0


def test_a_slow_machine_is_looked_at_less_often(start, meter_of) -> None:
    """A look that takes 20 ms of CPU would be 2 % of a core every second: ticks grow to five seconds."""

    class Dear(Heater):
        def read(self, engine: object) -> Seen:
            until_s = time.thread_time() + 0.02
            while time.thread_time() < until_s:
                pass
            return super().read(engine)

    meter = meter_of(start().url, sources=lambda: [Dear()])
    with meter.during():
        until(lambda: meter._tick_s > 2, "it looks as often as before")
    cheap = meter_of(start().url, sources=lambda: [Heater()])
    with cheap.during():
        until(lambda: cheap._looked_at > 0, "it did not look")
    assert cheap._tick_s < 2


@pytest.mark.llama
def test_a_real_llama_cpp_server_is_found_and_measured(llama_server: LlamaServer, meter_of) -> None:
    """Its figure is what the kernel says of that process, model and all."""
    meter = meter_of(llama_server.url)
    body = {"messages": [{"role": "user", "content": "What? " * 200}], "max_tokens": 64}
    with meter.during(llama_server.model) as metered:
        requests.post(llama_server.url + "/v1/chat/completions", json=body, timeout=60).raise_for_status()
        until(lambda: peak_mib(metered), "the server was not found")
    with open(f"/proc/{llama_server.process.pid}/status") as file:
        status = dict(line.split(":", 1) for line in file)
    peak = metered.figures()["mem_rss_mib_peak"]
    assert peak == pytest.approx(int(status["VmHWM"].split()[0]) / 1024, rel=0.05)
    assert "mem_model_mib" not in metered.figures()
