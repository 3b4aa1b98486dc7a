"""The long fault tests: real workers, engines and Redis, and what happens to them. `make chaos`, or

    .venv/bin/python tests/fault/chaos.py [--only NAME ...] [--seeds 1 2 3]

prints one line per figure, with the most or the least that is allowed, and exits with 1 if one is missed.
All of it takes about half an hour on two cores. `--request-timeout S` sets how long workers wait for a
silent engine, instead of llmq's own rule.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.room import Figure, say
from tasks.embedded import find_server
from tests.conftest import RedisServer
from tests.fault.clocks import clocks, faketime, wrong_clock
from tests.fault.engines import bad_engine
from tests.fault.kills import kills
from tests.fault.poison import poison
from tests.fault.scene import Scene, scene
from tests.fault.silence import partition, silent, sleep, slow_redis
from tests.fault.storms import DECK, broker_loss, everything


@dataclass(frozen=True, slots=True)
class Scenario:
    """`play` on a scene of `setting`; `seeded`: once for every seed."""

    name: str
    play: Callable[[Scene], list[Figure]]
    setting: dict[str, Any] = field(default_factory=dict)
    seeded: bool = False


def scenarios() -> list[Scenario]:
    """All of them, in the order they are played."""
    four = {"hosts": 4, "slots": 3, "service_s": 0.3}
    five = {"hosts": 5, "slots": 2, "service_s": 0.5}
    three = {"hosts": 3, "slots": 2, "service_s": 0.5}
    return [
        Scenario("kills", partial(kills, papers=2400, times=60, most_twice=1.0, redelivered_s=10.0), four),
        Scenario("killed-for-good", partial(silent, papers=100, how="kill"), three),
        Scenario("frozen", partial(silent, papers=100, how="freeze"), three),
        Scenario("cut-off", partial(silent, papers=100, how="cut"), three),
        Scenario("everything", partial(everything, papers=1200, deck=DECK * 2), four, seeded=True),
        Scenario("partition", partial(partition, papers=250, for_s=60.0), three),
        Scenario("partition-held", partial(partition, papers=250, for_s=60.0, mode="hold"), three),
        Scenario("broker-loss", partial(broker_loss, papers=200, down_s=(20.0, 60.0)), three),
        Scenario("broker-loss-cut", partial(broker_loss, papers=200, down_s=(5.0,), lost_s=1.0), three),
        Scenario("sleep", partial(sleep, papers=150, for_s=60.0), three),
        Scenario("slow-redis", partial(slow_redis, papers=100), three | {"hosts": 2}),
        Scenario("engine-hangs", partial(bad_engine, papers=300, fault="hang"), five),
        Scenario("engine-stalls", partial(bad_engine, papers=300, fault="stall"), five),
        Scenario("engine-500", partial(bad_engine, papers=150, fault="500"), five),
        Scenario("engine-drops", partial(bad_engine, papers=150, fault="drop"), five),
        Scenario("poison-kills", partial(poison, papers=60, how="kill"), three),
        Scenario("poison-freezes", partial(poison, papers=60, how="freeze"), five),
        *_clocks(),
    ]


def _clocks() -> list[Scenario]:
    library = faketime()
    if library is None:
        print("clocks: left out, there is no libfaketime here (Debian: faketime)", file=sys.stderr)
        return []
    hosts = {"ahead": wrong_clock(library, 10), "behind": wrong_clock(library, -10), "right": {}}
    setting = {"hosts": hosts, "slots": 4, "service_s": 11.0, "LLMQ_LEASE_S": "10"}
    return [Scenario("clocks", partial(clocks, papers=24, prompts=2), setting)]


def main() -> int:
    options = _parse()
    missed = 0
    for scenario in scenarios():
        if options.only and scenario.name not in options.only:
            continue
        for seed in options.seeds if scenario.seeded else options.seeds[:1]:
            missed += _play(scenario, seed, options.request_timeout)
    return 1 if missed else 0


def _play(scenario: Scenario, seed: int, request_timeout: str | None) -> int:
    """Play it in a folder of its own. Returns 1 where a bound is missed, or it did not come to its end."""
    environ = {"LLMQ_REQUEST_TIMEOUT": request_timeout} if request_timeout else {}
    begun = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="llmq-chaos-") as name:
            figures = _figures(scenario, Path(name), seed, environ)
    except BaseException as error:  # pytest's failures are no Exceptions
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        print(f"{scenario.name}, seed {seed}: broke off: {type(error).__name__}: {error}", flush=True)
        return 1
    title = f"{scenario.name}, seed {seed}, {time.monotonic() - begun:.0f} s"
    missed = say(title, figures, as_json=False)
    sys.stdout.flush()
    return missed


def _figures(scenario: Scenario, folder: Path, seed: int, environ: dict[str, str]) -> Sequence[Figure]:
    binary = find_server()
    if binary is None:
        raise SystemExit("no redis-server on this machine")
    (folder / "redis").mkdir()
    server = RedisServer(str(binary), folder / "redis")
    server.start()
    try:
        with scene(folder, server, seed=seed, **(scenario.setting | environ)) as stage:
            return scenario.play(stage)
    finally:
        server.kill()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these scenarios alone")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], help="for `everything`")
    parser.add_argument("--request-timeout", metavar="S", help="LLMQ_REQUEST_TIMEOUT of every worker")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
