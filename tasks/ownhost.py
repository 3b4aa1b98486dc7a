"""Which host a worker serves: the fleet file's, or the engine found on its own machine."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

from tasks.hosts import NameTaken
from tasks.settings import Settings, find_fleet
from worker_agent.config import Host, read_fleet
from worker_agent.detect import LOCAL_PORTS, detect_local
from worker_agent.errors import ConfigError
from worker_agent.machine import hostname, suffix

T = TypeVar("T")


def take_up(settings: Settings, slots: int | Literal["auto"] | None, serve: Callable[[Host], T]) -> T:
    """What `serve` gives for this worker's host. A machine that named itself takes a suffix if another
    has its name (every Pi is `raspberrypi`). Raises ConfigError, HostTaken."""
    fleet = find_fleet(settings) if settings.fleet or settings.host else None
    host = _configured(fleet, settings.host) if fleet else _detected(settings.host)
    host = replace(host, slots=slots) if slots else host
    try:
        return serve(host)
    except NameTaken:
        if fleet or settings.host:
            raise
        return serve(replace(host, id=f"{host.id}-{suffix()}"))


def _configured(fleet: Path, host_id: str | None) -> Host:
    hosts = {host.id: host for host in read_fleet(fleet)}
    if host_id is None and len(hosts) == 1:
        return next(iter(hosts.values()))
    if host_id is None:
        raise ConfigError(
            f"{fleet} has {len(hosts)} hosts ({', '.join(hosts)}); say which with LLMQ_HOST or --host"
        )
    if host_id not in hosts:
        raise ConfigError(f"no host {host_id!r} in {fleet}; it has {', '.join(hosts)}")
    return hosts[host_id]


def _detected(host_id: str | None) -> Host:
    found = detect_local()
    if not found:
        raise ConfigError(
            f"no LLM server found on this machine (ports {', '.join(map(str, LOCAL_PORTS))}); start one, or "
            "name it in a fleet file: LLMQ_FLEET=fleet.toml LLMQ_HOST=id"
        )
    return Host(host_id or hostname(), found[0].engine, found[0].url)
