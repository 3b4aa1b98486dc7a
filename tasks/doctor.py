"""Is everything in order? Looks at the installation, Redis and every host, and says what to do."""

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import packages_distributions
from pathlib import Path

from tasks.broker import broker, check_policy, masked
from tasks.connection import Client, connect_or_say
from tasks.errors import BrokerUnreachable
from tasks.hosts import HostRecord, live_hosts
from tasks.junk import all_junk
from tasks.ledger import keys
from tasks.livehost import LiveHost
from tasks.settings import Settings
from worker_agent.completion import Limits, Request
from worker_agent.config import Host
from worker_agent.detect import differs
from worker_agent.engines import Call
from worker_agent.errors import (
    ConfigError,
    EngineError,
    EngineTimeout,
    EngineUnavailable,
    LLMQError,
    ModelNotFound,
)

HELLO = "Hello, how are you?"
HELLO_TOKENS = 32
HELLO_S = 60.0
OURS = ("tasks", "cli", "worker_agent")
DISTRIBUTION = "llmq-fleet"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `advice`: what to do, where something is wrong, or to be known of (`ok`)."""

    what: str
    ok: bool
    detail: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Examined:
    """One host: how it answered. `load`: busy/slots; `seconds`: the hello, sent to end."""

    id: str
    address: str
    ok: bool
    load: str = ""
    seconds: float | None = None
    engine: str = ""
    version: str | None = None
    models: tuple[str, ...] = ()
    window: int | None = None
    answer: str = ""
    problem: str = ""
    advice: str = ""
    note: str = ""
    simulated: bool = False
    time_scale: float | None = None  # of a simulated one


def installation() -> Iterator[Finding]:
    """Whether `tasks`, `cli` and `worker_agent` are ours, and ours alone."""
    shipped = packages_distributions()
    for name in OURS:
        others = sorted(set(shipped.get(name, [])) - {DISTRIBUTION})
        here = Path(__import__(name).__file__ or "").parent
        if others:
            advice = f"install llmq in a virtual environment of its own, without {', '.join(others)}"
            yield Finding(
                f"package {name}", False, f"{', '.join(others)} also ships {name!r} ({here})", advice
            )
        else:
            yield Finding(f"package {name}", True, str(here))


def redis_findings(settings: Settings) -> Iterator[Finding]:
    """Whether Redis answers and keeps what it is given."""
    try:
        with broker(settings) as url:
            client = connect_or_say(url)
            version = client.info("server")["redis_version"]
            yield Finding("redis", True, f"{version} at {masked(url)}")
            yield _policy(client)
            yield from _junk(client)
    except BrokerUnreachable as error:
        yield Finding(
            "redis",
            False,
            str(error),
            "correct LLMQ_REDIS_URL, or start that server; without it llmq uses its own",
        )


def _policy(client: Client) -> Finding:
    try:
        check_policy(client)
    except ConfigError as error:
        text, _, command = str(error).partition(" Set it with: ")
        return Finding("redis eviction", False, text, f"set it with: {command}")
    return Finding("redis eviction", True, "noeviction")


def _junk(client: Client) -> Iterator[Finding]:
    """Nothing is broken where a worker set a message aside, but somebody writes into the queues."""
    if there := all_junk(client):
        newest = there[0]
        seen = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(newest.seen_ms / 1000))
        count = f"{len(there)} message{'s' if len(there) > 1 else ''} set aside"
        yield Finding(
            "junk",
            True,
            f"{count}, the newest at {seen} from {newest.queue}: {newest.reason}",
            f"look with: redis-cli LRANGE {keys.JUNK} 0 -1; forget with: redis-cli DEL {keys.JUNK}",
        )


def records(settings: Settings) -> dict[str, HostRecord]:
    """Live workers by host id; empty where Redis does not answer."""
    try:
        with broker(settings) as url:
            return {record.id: record for record in live_hosts(connect_or_say(url))}
    except BrokerUnreachable:
        return {}


def examine_all(hosts: Sequence[Host], live: dict[str, HostRecord]) -> Iterable[Examined]:
    """All hosts at once, in their order."""
    with ThreadPoolExecutor(max(len(hosts), 1)) as pool:
        return list(pool.map(lambda host: examine(host, live.get(host.id)), hosts))


def examine(host: Host, record: HostRecord | None) -> Examined:
    """Probe a host and say hello. Never raises an LLMQError."""
    live = LiveHost(host, "doctor", health_check_interval=30.0)
    slots = record.slots if record and live.knee else live.slots
    are = (record.slots_are if record else "found out at work") if live.knee else ""
    seen = Examined(
        host.id,
        host.url,
        ok=False,
        load=f"{record.busy if record else 0}/{slots}" + (f" slots, {are}" if are else ""),
        engine=live.state.engine,
        version=live.state.version,
        models=tuple(model.name for model in live.models),
        simulated=live.state.simulated,
        time_scale=live.state.time_scale,
        note=record.why_not if record and record.drained else "",
    )
    if other := differs(host):
        seen = replace(
            seen, note=f"configured as {host.engine}, and it answers like {other}: correct `engine`?"
        )
    if not live.breaker.closed:
        problem = live.breaker.reason
        return replace(seen, problem=problem, advice=_advice_for_reason(host, problem))
    try:
        return _hello(live, seen)
    except LLMQError as error:
        return replace(seen, problem=str(error), advice=_advice(host, error))


def _hello(live: LiveHost, seen: Examined) -> Examined:
    model = live.prepare(live.model(None))
    request = Request(model.local, HELLO, max_tokens=HELLO_TOKENS, window=model.window)
    start = time.monotonic()
    call = Call(Limits(connect_s=5, first_token_s=HELLO_S, between_tokens_s=HELLO_S))
    completion = live.engine.complete(request, call)
    seconds = time.monotonic() - start
    advice = (
        ""
        if model.window
        else "its context window is unknown: set context_length, or long papers go unchecked"
    )
    return replace(
        seen, ok=True, seconds=seconds, window=model.window, answer=completion.text.strip(), advice=advice
    )


def _advice_for_reason(host: Host, reason: str) -> str:
    if "no model" in reason:
        return f"load a model on {host.id}, or name one it has under `models`"
    return _advice(host, EngineUnavailable(reason))


def _advice(host: Host, error: LLMQError) -> str:
    if isinstance(error, EngineUnavailable):
        return (
            f"is the LLM server on {host.id} started, does it listen on the network (LM Studio: Serve on "
            "Local Network; Ollama: OLLAMA_HOST=0.0.0.0), and does the firewall let it?"
        )
    if isinstance(error, ModelNotFound):
        return f"load the model on {host.id}, or correct `models` in the fleet file"
    if isinstance(error, EngineTimeout):
        return "it may be loading or overloaded: look at its own window, then try again"
    if "API key" in str(error):
        return "set api_key or api_key_env for this host"
    if isinstance(error, EngineError):
        return f"look into the log of the LLM server on {host.id}"
    return "see the message"
