"""The engine of a host, and what answers at an address: each engine knows its own marks, and this asks
them in turn."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from worker_agent.completion import EngineState
from worker_agent.config import Host
from worker_agent.engines import ENGINES
from worker_agent.engines.base import Engine
from worker_agent.errors import ConfigError, EngineError, EngineUnavailable, RequestRejected

LOCAL_PORTS = (11434, 1234, 52415, 8080, 8000)


def connect(host: Host, timeout_s: float = 2.0) -> Engine:
    """The engine of a host. Sends nothing, unless the host's engine is "auto": then it asks.

    Raises ConfigError for an unknown engine; for "auto" EngineUnavailable when no engine answers
    and RequestRejected when it wants an API key.
    """
    if host.engine == "auto":
        return detect_engine(host.url, timeout_s, host.api_key)
    if host.engine not in ENGINES:
        raise ConfigError(f"host {host.id}: unknown engine '{host.engine}'; known: {', '.join(ENGINES)}")
    return ENGINES[host.engine](host.url, api_key=host.api_key)


def differs(host: Host, timeout_s: float = 2.0) -> str:
    """What answers at a host's address if that is another kind of engine than configured, else "".
    The configuration is trusted all the same. `auto` and `openai` fit anything."""
    if host.engine in ("auto", "openai"):
        return ""
    found = detect(host.url, timeout_s, host.api_key)
    return found.engine if found and not found.needs_key and found.engine != host.engine else ""


@dataclass(frozen=True, slots=True)
class Found:
    """An engine at an address. Its state is bare while it loads or as long as `needs_key`: it wants
    an API key that we do not have, and `engine` may then be a guess from the port."""

    url: str
    engine: str
    state: EngineState
    needs_key: bool = False


def detect(url: str, timeout_s: float = 2.0, api_key: str | None = None) -> Found | None:
    """The engine at `url`, None where there is none. `timeout_s` holds for each request."""
    try:
        engine = detect_engine(url, timeout_s, api_key)
    except RequestRejected:
        name = _guess(url)
        return Found(url, name, EngineState(name, None), needs_key=True)
    except EngineError:
        return None
    try:
        return Found(url, engine.name, engine.state(timeout_s))
    except EngineError as error:
        bare = EngineState(engine.name, None)
        return Found(url, engine.name, bare, needs_key=isinstance(error, RequestRejected))


def detect_engine(url: str, timeout_s: float = 2.0, api_key: str | None = None) -> Engine:
    """The first of ENGINES that recognises itself at `url`.

    Raises EngineUnavailable where none does, RequestRejected where they want an API key.
    """
    refused: RequestRejected | None = None
    for kind in ENGINES.values():
        engine = kind(url, api_key=api_key)
        try:
            if engine.recognises(timeout_s):
                return engine
        except RequestRejected as error:  # the next one may have a page that needs no key
            refused = error
    raise refused or EngineUnavailable(f"{url}: no engine that llmq knows")


def detect_local(
    ports: Iterable[int] = LOCAL_PORTS, timeout_s: float = 1.0, host: str = "127.0.0.1"
) -> tuple[Found, ...]:
    """The engines on this machine, in the order of `ports`, asked at the same time."""
    urls = [f"http://{host}:{port}" for port in ports]
    with ThreadPoolExecutor(max_workers=max(len(urls), 1)) as pool:
        return tuple(found for found in pool.map(lambda url: detect(url, timeout_s), urls) if found)


def _guess(url: str) -> str:
    port = urlsplit(url).port
    return next((name for name, kind in ENGINES.items() if kind.default_port == port), "openai")
