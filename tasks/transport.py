"""kombu's Redis transport, where it meets what others may put into Redis or Redis may refuse.

Its methods differ from kombu's only in what happens when something is wrong: a message is looked at before
anything decodes it, and a write that Redis refuses (it is full, or a replica for the moment) costs no
worker. The ledger makes a message that is lost, doubled or late harmless; that is why it may be dropped.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import redis
from kombu.transport import redis as kombu_redis
from kombu.transport import virtual

from tasks import junk
from tasks.connection import Connection, TlsConnection
from tasks.errors import BadMessage, ProtocolMismatch
from tasks.queues import is_ours

log = logging.getLogger(__name__)

REFUSED_PAUSE_S = 1.0
# Five a second get through a long queue, and leave most to the workers who can read them.
FOREIGN_PAUSE_S = 0.2
UNREADABLE = (TypeError, ValueError, LookupError, AttributeError, RecursionError)


def _reason(error: redis.RedisError) -> str:
    """Without the command, of which a pipeline's error has plenty."""
    return str(error).rsplit("caused error: ", maxsplit=1)[-1]


class Waiting(redis.Redis):
    """The client that waits for messages; what it gets, its channel judges first."""

    def __init__(self, channel: "Channel", **options: Any) -> None:
        super().__init__(**options)
        self._channel = channel

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        """None, as if nothing had come, for what Celery must not see."""
        if command_name != "BRPOP":
            return super().parse_response(connection, command_name, **options)
        try:
            popped = super().parse_response(connection, command_name, **options)
        except redis.ResponseError as refusal:
            return self._channel.refused(refusal)
        return popped if popped and self._channel.accepts(*popped) else None


class QoS(kombu_redis.QoS):
    """Messages that are not acknowledged yet, as kombu records them in Redis, as far as Redis takes it."""

    @contextmanager
    def pipe_or_acquire(self, pipe: Any = None, client: Any = None) -> Iterator[Any]:
        """The two writes of a message go in one round trip and no transaction, at two thirds of its price;
        either without the other does no harm."""
        if pipe:
            yield pipe
            return
        with self.channel.conn_or_acquire(client) as client:
            yield client.pipeline(transaction=False)

    def append(self, message: Any, delivery_tag: str) -> None:
        """A worker that dies with an unrecorded message loses it, and the steward invites again."""
        try:
            super().append(message, delivery_tag)
        except redis.RedisError as error:
            log.warning("no record of a message that is worked on: %s", _reason(error))
            virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """The slot is free whatever Redis says; a record that stays there is redelivered after the
        visibility timeout, to no effect."""
        try:
            super().ack(delivery_tag)
        except redis.RedisError as error:
            log.warning("the record of a message that is done stays: %s", _reason(error))
            virtual.QoS.ack(self, delivery_tag)

    def restore_visible(self, *args: Any, **options: Any) -> None:
        """Also asked while connecting, where a refusal would keep a worker from ever taking work."""
        try:
            super().restore_visible(*args, **options)
        except redis.ResponseError as error:
            log.warning("nothing can be delivered again now: %s", _reason(error))

    def restore_by_tag(self, tag: bytes, client: Any = None, leftmost: bool = False) -> None:
        """Redeliver what a dead worker left; what is no message would stop every sweep at itself."""
        try:
            super().restore_by_tag(tag, client, leftmost)
        except (redis.ConnectionError, redis.TimeoutError, redis.ResponseError, OSError):
            raise
        except Exception as error:
            with self.channel.conn_or_acquire(client) as client:
                raw = client.hget(self.unacked_key, tag) or b""
                junk.set_aside(client, self.unacked_key, f"it cannot be redelivered: {error!r:.60}", raw)
                self._remove_from_indices(tag).execute()


class Channel(kombu_redis.Channel):
    """Looks at every message before kombu decodes it, and takes a breath where Redis refuses."""

    QoS = QoS
    connection_class, connection_class_ssl = Connection, TlsConnection
    _resume_at = 0.0
    _refusal = ""
    _shared: Any = None

    def accepts(self, key: bytes, raw: bytes) -> bool:
        """Whether Celery may have what was popped; junk is set aside."""
        queue = key.decode("utf-8", "replace").rsplit(self.sep, 1)[0]
        self._refusal = ""
        try:
            (junk.check if is_ours(queue) else junk.check_readable)(raw, queue)
        except BadMessage as error:
            reason = str(error)
        except ProtocolMismatch as error:
            self._resume_at = time.monotonic() + FOREIGN_PAUSE_S
            reason = str(error)
        else:
            return True
        with self.conn_or_acquire() as client:
            junk.set_aside(client, queue, reason, raw)
        return False

    def refused(self, refusal: redis.ResponseError) -> None:
        """Redis is a replica for the moment, a queue is no list, ...: ask again soon."""
        self._resume_at = time.monotonic() + REFUSED_PAUSE_S
        self._say_once(refusal)

    def maybe_refresh_binding_expiry(self) -> None:
        """kombu asks every second, and would log a traceback every second."""
        try:
            super().maybe_refresh_binding_expiry()
        except redis.ResponseError as refusal:
            self._say_once(refusal)

    def _size(self, queue: str) -> int:
        """Asked while connecting; no worker waits for the answer."""
        try:
            return int(super()._size(queue))
        except redis.ResponseError as refusal:
            self._say_once(refusal)
            return 0

    def _say_once(self, refusal: redis.ResponseError) -> None:
        if (reason := _reason(refusal)) != self._refusal:
            log.warning("Redis refuses the consumer: %s", reason)
        self._refusal = reason

    def _get_client(self) -> Any:
        return partial(Waiting, self)

    def _create_client(self, asynchronous: bool = False) -> Any:
        """One for all commands that do not block, from any thread: kombu makes a client for each of them,
        which took a worker a tenth of its time."""
        if asynchronous:
            return super()._create_client(asynchronous=True)
        if self._shared is None or self._shared.connection_pool is not self.pool:
            self._shared = super()._create_client()
        return self._shared

    def _brpop_start(self, timeout: float | None = None) -> None:
        if time.monotonic() >= self._resume_at:
            super()._brpop_start(timeout)

    def _receive_one(self, c: Any) -> Any:
        try:
            return super()._receive_one(c)
        except UNREADABLE as error:
            log.warning("left alone what is no control message: %r", error)
            return None


class Transport(kombu_redis.Transport):
    """What `redis://` and `rediss://` mean to the app (tasks/celery.py)."""

    Channel = Channel
