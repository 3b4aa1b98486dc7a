"""A Celery worker that serves one host. Both doors, `celery -A tasks worker` and `llmq worker`, end here.

What Celery's own options do: `-c N` sets the host's slots; `-Q` consumes those queues only; `-n` names
the Celery node (the host's id stays what the configuration says); the pool is always threads.
"""

import os
import socket
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from celery import signals
from celery.apps.worker import Worker
from celery.utils.nodenames import default_nodename

from tasks.broker import attach, check_policy
from tasks.connection import connect_or_say
from tasks.serving import Serving
from tasks.settings import Settings, find_fleet, read_settings
from tasks.work import RETRY_SUFFIX
from worker_agent.config import Host, read_fleet
from worker_agent.detect import LOCAL_PORTS, detect_local
from worker_agent.errors import ConfigError, LLMQError
from worker_agent.machine import hostname as machine_name

GRACE_S = 30.0  # for running requests, after the first SIGTERM


class CannotStart(click.ClickException):
    """What a person sees instead of a traceback, whichever door they came through."""

    exit_code = 2


class FleetWorker(Worker):
    """Celery's worker with the queues, slots and name of its host."""

    def __init__(
        self,
        app: Any = None,
        hostname: str | None = None,
        concurrency: int | None = None,
        queues: Any = None,
        **options: Any,
    ) -> None:
        try:
            self._take_up(concurrency)
        except LLMQError as error:
            raise CannotStart(str(error)) from error
        host = self.serving.live.host
        named = hostname and hostname != default_nodename(None)
        options |= {"without_gossip": True, "without_mingle": True, "pool": "threads", "pool_cls": "threads"}
        super().__init__(
            app=app,
            hostname=hostname if named else f"{host.id}@{machine_name()}",
            # One thread more than slots: it prepares the next bundle (tasks/slots.py).
            concurrency=self.serving.slots.slots + 1,
            queues=queues or with_retries(self.serving.live.queues),
            **options,
        )

    def _take_up(self, slots: int | None) -> None:
        """Find Redis and the host to serve, and become its worker. Raises LLMQError."""
        settings = read_settings()
        self.redis = attach(settings)
        check_policy(connect_or_say(self.redis.url))
        self.app.use(self.redis.url)
        host = this_host(settings)
        host = replace(host, slots=slots) if slots else host
        self.serving = self.app.serving = Serving(host, settings, self.redis.url)
        self.serving.enter()
        self.serving.on_change = self._consume_more

    def _consume_more(self) -> None:
        for queue in with_retries(self.serving.live.queues):
            self.app.control.add_consumer(queue, destination=[self.hostname])


def with_retries(queues: Iterable[str]) -> list[str]:
    """Each queue behind its retry queue, in the order they are consumed."""
    queues = list(queues)
    return [queue + RETRY_SUFFIX for queue in queues] + queues


def this_host(settings: Settings) -> Host:
    """The host to serve: the fleet file's, or the engine found on this machine. Raises ConfigError."""
    fleet = find_fleet(settings) if settings.fleet or settings.host else None
    return _configured(fleet, settings.host) if fleet else _detected(settings.host)


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
    engine = found[0]
    return Host(host_id or socket.gethostname().split(".")[0], engine.engine, engine.url)


@signals.worker_shutting_down.connect
def _stop(**_: Any) -> None:
    """SIGTERM or Ctrl-C: claim no more, give running requests their time."""
    from tasks.celery import app

    app.serving.stop(float(os.environ.get("LLMQ_GRACE_S", GRACE_S)))


@signals.worker_shutdown.connect
def _leave(sender: Any, **_: Any) -> None:
    """All threads are done: sign off."""
    sender.serving.leave()
    sender.redis.close()
