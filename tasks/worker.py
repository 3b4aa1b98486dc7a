"""A Celery worker that serves one host. Both doors, `celery -A tasks worker` and `llmq worker`, end here.

What Celery's own options do: `-c N` sets the host's slots; `-Q` consumes those queues only; `-n` names
the Celery node (the host's id stays what the configuration says); the pool is always threads.
"""

import logging
import os
import signal
from collections.abc import Iterable
from typing import Any, Literal

import click
from celery import signals
from celery.apps.worker import Worker
from celery.utils.nodenames import default_nodename
from celery.utils.text import str_to_list
from celery.worker import state

from tasks.broker import attach, check_policy
from tasks.connection import connect_or_say
from tasks.errors import BrokerUnreachable
from tasks.ownhost import take_up
from tasks.queues import RETRY_SUFFIX
from tasks.serving import Serving
from tasks.settings import read_settings
from worker_agent.config import Host
from worker_agent.errors import LLMQError
from worker_agent.machine import hostname as machine_name

log = logging.getLogger(__name__)

GRACE_S = 30.0  # for running requests, after the first SIGTERM
ASKED_TO_STOP = (signal.SIGTERM, signal.SIGINT)


class CannotStart(click.ClickException):
    """What a person sees instead of a traceback, whichever door they came through."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        click.echo(f"llmq: {self.message}", file=file, err=file is None)


class NoBroker(CannotStart):
    """Redis does not answer."""

    exit_code = 3


class FleetWorker(Worker):
    """Celery's worker with the queues, slots and name of its host."""

    told_to_stop = False

    def __init__(
        self,
        app: Any = None,
        hostname: str | None = None,
        concurrency: int | Literal["auto"] | None = None,
        queues: Any = None,
        **options: Any,
    ) -> None:
        try:
            self._take_up(concurrency, frozenset(str_to_list(queues) or ()))
        except BrokerUnreachable as error:
            raise NoBroker(str(error)) from error
        except LLMQError as error:
            raise CannotStart(str(error)) from error
        host = self.serving.live.host
        named = hostname and hostname != default_nodename(None)
        options |= {"without_gossip": True, "without_mingle": True, "pool": "threads", "pool_cls": "threads"}
        super().__init__(
            app=app,
            hostname=hostname if named else f"{host.id}@{machine_name()}",
            concurrency=self.serving.threads,
            queues=with_retries(self.serving.live.queues),
            **options,
        )
        self.serving.live.worker = self.hostname

    def _take_up(self, slots: int | Literal["auto"] | None, only: frozenset[str]) -> None:
        """Find Redis and the host to serve, and become its worker. Raises LLMQError."""
        settings = read_settings()
        self.redis = attach(settings)
        check_policy(connect_or_say(self.redis.url))
        self.app.use(self.redis.url)

        def serve(host: Host) -> Serving:
            serving = Serving(host, settings, self.redis.url)
            serving.live.only = only
            serving.enter()
            return serving

        self.serving = self.app.serving = take_up(settings, slots, serve)
        self.serving.on_change = self._consume_more
        self.serving.on_slots = self._fetch_for_slots
        self.serving.on_failure = self._stop_failed
        self.serving.on_deaf = self._end_without
        signals.worker_shutting_down.connect(self._hurry_next_time)

    def on_close(self) -> None:
        """Celery stops, for whatever reason: claim no more, give running requests their time."""
        if self.told_to_stop:
            self.exitcode = self.serving.exit_code  # Celery has an error for Ctrl-C
        self.serving.stop(float(os.environ.get("LLMQ_GRACE_S", GRACE_S)))
        super().on_close()

    def on_consumer_ready(self, consumer: Any) -> None:
        super().on_consumer_ready(consumer)
        self._fetch_for_slots()

    def _fetch_for_slots(self) -> None:
        """Where slots are found out there are threads for all there may be: take invitations for those there
        are, and leave the others to other hosts."""
        if self.serving.live.knee and (qos := getattr(self.consumer, "qos", None)):
            more = self.serving.slots.slots + 1 - qos.value
            qos.increment_eventually(max(more, 0))
            qos.decrement_eventually(max(-more, 0))

    def _hurry_next_time(self, **_: Any) -> None:
        """The first signal has come (Celery calls this from within): the second ends the grace."""
        self.told_to_stop = True

        def hurry(*_: Any) -> None:
            for number in ASKED_TO_STOP:
                signal.signal(number, signal.SIG_IGN)  # a third must not come between
            self.serving.hurry()

        for number in ASKED_TO_STOP:
            signal.signal(number, hurry)

    def _stop_failed(self) -> None:
        """Celery looks at this every second."""
        state.should_stop = self.serving.exit_code

    def _end_without(self) -> None:
        """A thread does not hear that the worker ends (its engine loads a model, or it is stuck), and Python
        would wait for it."""
        log.warning("ends without a thread that does not answer; what it held has been given back")
        self.serving.leave()
        self.redis.close()
        os._exit(self.serving.exit_code)

    def _consume_more(self) -> None:
        for queue in with_retries(self.serving.live.queues):
            self.app.control.add_consumer(queue, destination=[self.hostname])


def work(**options: Any) -> int:
    """Be a worker until told to stop; `options` are Celery's (concurrency, queues, hostname, loglevel).
    Returns the exit code. Celery's own command line is left out: it loads Flower on every start."""
    from tasks.celery import app

    try:
        worker = app.Worker(**options)
    except CannotStart as error:
        error.show()
        return error.exit_code
    worker.start()
    return int(worker.exitcode or 0)


def with_retries(queues: Iterable[str]) -> list[str]:
    """Each queue behind its retry queue, in the order they are consumed."""
    queues = list(queues)
    return [queue + RETRY_SUFFIX for queue in queues] + queues


@signals.worker_shutdown.connect
def _leave(sender: Any, **_: Any) -> None:
    """All threads are done: sign off."""
    sender.serving.leave()
    sender.redis.close()
