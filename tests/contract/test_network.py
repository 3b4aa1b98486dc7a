"""What the way took, through a proxy that adds a known delay to it."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.contract.bench import LIMITS, Bench
from tests.contract.engine_server import Pause, Reply, Told
from tests.fault.proxy import Proxy
from tests.nearest import nearest
from worker_agent.completion import Completion, EngineReport, Request
from worker_agent.engines import Call

DELAY_S = 0.05
DECODE_S = 0.06
MANY = 20  # eight times on the way somebody has to be woken
Policy = Callable[[float], dict[str, Any]]
REPORTING = ("ollama", "llama_cpp", "exo", "lm_studio")


def way_s(done: Completion) -> float:
    """What it says of the way: waiting for a core makes it longer, and nothing makes it shorter."""
    return done.timing.network_s or 0.0


def at_once(read_s: float) -> dict[str, Any]:
    return {"first": (Pause(read_s),), "before": ()}


def with_the_first_token(read_s: float) -> dict[str, Any]:
    return {"first": (), "before": (Pause(read_s),)}


def truthful(bench: Bench, read_s: float, headers: Policy) -> Reply:
    """An engine that reads for `read_s` at least, writes for DECODE_S, and says what it took."""
    wire, how = bench.wire, headers(read_s)
    ended = Told(lambda asked_at, wrote: timed(bench, wrote[-2] - asked_at, wrote[-1] - wrote[-2]))
    steps = (*how["first"], wire.text("a"), Pause(DECODE_S), wire.text("b"), ended)
    return replace(wire.stream(*steps), before=how["before"])


def timed(bench: Bench, read_s: float, decode_s: float) -> bytes:
    """The end of a stream whose times are these."""
    stream = b"".join(bench.wire.finish(tokens=2)).decode()
    for said, true in {
        '"total_duration": 1000000000': f'"total_duration": {round((read_s + decode_s) * 1e9)}',
        '"load_duration": 125000000': '"load_duration": 0',
        '"prompt_eval_duration": 250000000': f'"prompt_eval_duration": {round(read_s * 1e9)}',
        '"eval_duration": 500000000': f'"eval_duration": {round(decode_s * 1e9)}',
        '"prompt_ms": 250.0': f'"prompt_ms": {read_s * 1000}',
        '"prompt_tps": 44.0': f'"prompt_tps": {11 / read_s}',
        '"time_to_first_token": 0.25': f'"time_to_first_token": {read_s}',
    }.items():
        stream = stream.replace(said, true)
    return stream.encode()


@contextmanager
def behind(bench: Bench, delay_s: float) -> Iterator[Callable[[Reply], Completion]]:
    """Ask through a proxy that holds what comes back for `delay_s`, there and back half of it each."""
    with closing(Proxy(bench.server.server_port)) as proxy:
        proxy.delay_s = delay_s / 2
        engine = bench.wire.engine(f"http://127.0.0.1:{proxy.port}", "secret-key")

        def ask(reply: Reply) -> Completion:
            bench.server.replies[bench.wire.chat_path] = reply
            return engine.complete(Request("tiny:1b", "Why?", window=2048), Call(LIMITS))

        yield ask


@pytest.mark.parametrize("headers", [at_once, with_the_first_token])
@pytest.mark.parametrize("read_s", [0.02, 0.2])
def test_the_way_is_told_apart_from_the_engine(bench: Bench, read_s: float, headers: Policy) -> None:
    """50 ms on the way, there and back together, are 40 to 60 ms whatever the engine takes and whenever it
    sends its headers; without the proxy they are gone. Where an engine reports nothing, it is unknown."""
    reply = truthful(bench, read_s, headers)
    if bench.wire.name not in REPORTING:
        near = bench.complete(reply)
        assert (near.timing.network_s, near.report) == (None, EngineReport())
        return
    near = nearest(lambda: bench.complete(reply), way_s, 0.03, MANY)
    with behind(bench, DELAY_S) as ask:
        ask(reply)  # the proxy's first connection is slow
        far = nearest(lambda: ask(reply), way_s, 0.06, MANY)
    assert far.timing.network_s is not None
    assert near.timing.network_s is not None
    assert 0.04 <= far.timing.network_s <= 0.06
    assert near.timing.network_s <= 0.03
    assert far.timing.ttft_ms is not None
    assert far.timing.ttft_ms >= (read_s + DELAY_S) * 1000 - 1


def test_an_engine_that_claims_more_than_we_waited_tells_nothing_of_the_way(bench: Bench) -> None:
    """Its clock, or its unit, is not to be trusted: no zero is made of it."""
    done = bench.complete(bench.wire.answer("a", "b", "c"))
    assert done.timing.network_s is None
    assert done.report == bench.wire.report
