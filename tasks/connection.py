"""Redis clients as llmq uses them: bounded waits everywhere, so that a half-open connection is noticed."""

import time
from typing import Any, TypeAlias

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from tasks.broker import masked
from tasks.errors import BrokerUnreachable
from tasks.packer import Packer

TIMEOUT_S = 5.0
FRESH_S = 1.0  # after an answer, a connection is thought to be in order
# redis-py types every answer as all it could be with any options; ours are str with `connect`.
Client: TypeAlias = Any


class _Trusted:
    """Whenever a pool hands a connection out, it looks whether something lies in it that nobody asked for:
    more calls of the system than a command itself needs. Right after an answer, nothing can."""

    next_health_check: float
    health_check_interval: float

    def can_read(self, timeout: float | None = None) -> bool:
        """Without a timeout the pool asks."""
        answered = self.next_health_check - self.health_check_interval
        if timeout is None and time.monotonic() - answered < FRESH_S:
            return False
        return bool(super().can_read(timeout or 0))  # type: ignore[misc]


class Connection(_Trusted, redis.Connection):  # type: ignore[misc]
    """Over TCP."""


class TlsConnection(_Trusted, redis.SSLConnection):  # type: ignore[misc]
    """Over TLS."""


class UnixConnection(_Trusted, redis.UnixDomainSocketConnection):  # type: ignore[misc]
    """To a Redis on this machine."""


CONNECTIONS = {"redis": Connection, "rediss": TlsConnection, "unix": UnixConnection}


def connect(url: str, *, decode: bool = True) -> Client:
    """A client for `url`. `decode=False` gives bytes (paper texts)."""
    return redis.Redis.from_url(
        url,
        decode_responses=decode,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        socket_keepalive=True,
        health_check_interval=30,
        connection_class=CONNECTIONS.get(url.partition(":")[0], Connection),
        command_packer=Packer(),
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 2),
    )


def connect_or_say(url: str) -> Client:
    """A client that has just been answered. Raises BrokerUnreachable with what to do next."""
    client = connect(url)
    try:
        client.ping()
    except redis.AuthenticationError as error:
        raise BrokerUnreachable(
            f"Redis at {masked(url)} wants another password; put it into LLMQ_REDIS_URL as "
            "redis://:PASSWORD@host:port/0"
        ) from error
    except redis.RedisError as error:
        raise BrokerUnreachable(
            f"no Redis answers at {masked(url)} ({error}); start it, or unset LLMQ_REDIS_URL to use "
            "llmq's own"
        ) from error
    return client
