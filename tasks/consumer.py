"""Celery's consumer, but for how often it tells of tasks: a message of its own for each event took a third of
the thread that also takes work. `worker_consumer` in tasks/celeryconfig.py names it."""

import time

from celery.worker.consumer import Consumer

TELL_S = 0.25


class FleetConsumer(Consumer):
    """Events of tasks leave together, a moment later; those of the worker itself at once, as ever."""

    _telling_until = 0.0

    def on_send_event_buffered(self) -> None:
        """Celery calls this for every event, from any thread; only the loop's own may set its timer. Where
        the timer is lost with a connection, the next event sets another."""
        now = time.monotonic()
        if self.hub and now > self._telling_until:
            self._telling_until = now + TELL_S
            self.hub.call_soon(self._tell_soon)

    def _tell_soon(self) -> None:
        self.hub.call_later(TELL_S, self._flush_events)
