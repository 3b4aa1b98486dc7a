"""The ledger's scripts (`lua/*.lua`) by name, asked again while Redis is away."""

import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

import redis
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    OutOfMemoryError,
    ReadOnlyError,
    TimeoutError,
)

from tasks.connection import Client
from tasks.errors import BrokerUnreachable
from tasks.ledger import keys

T = TypeVar("T")
AWAY = (ConnectionError, TimeoutError, BusyLoadingError, ReadOnlyError, OutOfMemoryError)
REFUSED = ("OOM ", "MISCONF", "BUSY ", "READONLY", "NOREPLICAS")
LONG_S, LONGEST_WAIT_S = 0.8, 1.6  # pauses between tries: the first worth a word, the longest


class Scripts:
    """A `patient` caller (a worker) waits until Redis answers and says when it begins and ends to; for any
    other it raises BrokerUnreachable."""

    def __init__(self, client: Client, *, patient: bool, say: Callable[[str], None]) -> None:
        self.redis = client
        self.closing = Event()  # a patient one stops waiting for Redis when this is set
        self.back_at = float("-inf")  # when Redis answered again after an outage
        self._patient, self._say = patient, say
        self._scripts: dict[str, Any] = {}

    def _run(self, name: str, run_id: str, args: Sequence[Any], *more_keys: str) -> Any:
        script = self._registered(name)
        all_keys = [*keys.of_run(run_id), *more_keys]
        return self.patiently(lambda: script(keys=all_keys, args=args))

    def _registered(self, name: str) -> Any:
        if name not in self._scripts:
            self._scripts[name] = self.redis.register_script(_script(name))
        return self._scripts[name]

    def patiently(self, ask: Callable[[], T]) -> T:
        """What `ask` answers, asked again while Redis is away (if we are patient)."""
        pause_s = 0.1
        while True:
            try:
                answer = ask()
            except redis.RedisError as error:
                if not _away(error):
                    raise
                if not self._patient or self.closing.wait(pause_s):
                    raise BrokerUnreachable(f"Redis does not answer: {error}") from error
                if pause_s == LONG_S:
                    self._say(f"waiting for Redis: {error}")
                pause_s = min(pause_s * 2, LONGEST_WAIT_S)
            else:
                if pause_s > LONG_S:
                    self.back_at = time.monotonic()
                    self._say("Redis answers again")
                return answer


def _away(error: redis.RedisError) -> bool:
    """It does not answer, or takes no writes now. Inside a script, Redis 6 says so in words only."""
    if isinstance(error, AuthenticationError):  # waiting brings no password
        return False
    return isinstance(error, AWAY) or any(word in str(error) for word in REFUSED)


@cache
def _script(name: str) -> str:
    folder = Path(__file__).with_name("lua")
    common = "" if name == "lead" else (folder / "common.lua").read_text()
    return common + (folder / f"{name}.lua").read_text()
