"""A benchmark's submission beside the command that follows it: a sweep is planned as it goes."""

from collections.abc import Callable
from threading import Event, Thread

from tasks.request import Asked
from tasks.session import Session
from tasks.submit import Submitted, submit
from worker_agent.errors import LLMQError


class Submission:
    """Begins at once. `started` waits for the run's id; `close` lets go of a sweep that is not finished.
    `say` hears what it waits for, and why it ended before its time."""

    def __init__(
        self, work: Session, asked: Asked, *, fresh: bool, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self._begun, self._over, self._say = Event(), Event(), say
        self._started: Submitted | None = None
        self._error: LLMQError | None = None
        self._thread = Thread(target=self._submit, args=(work, asked, fresh), name="submit", daemon=True)
        self._thread.start()

    def started(self) -> Submitted:
        """Raises what the submission raised before there was a run."""
        self._begun.wait()
        if self._started is None:
            assert self._error
            raise self._error
        return self._started

    def close(self) -> None:
        self._over.set()
        self._thread.join(timeout=2.0)

    def _submit(self, work: Session, asked: Asked, fresh: bool) -> None:
        try:
            submit(
                work.ledger,
                work.texts,
                asked.manifest,
                (),
                fresh=fresh,
                on_start=self._start,
                on_wait=self._say,
                stopped=self._over.is_set,
            )
        except LLMQError as error:
            self._error = error
            if self._started and not self._over.is_set():
                self._say(str(error))
        finally:
            self._begun.set()

    def _start(self, started: Submitted) -> None:
        self._started = started
        self._begun.set()
