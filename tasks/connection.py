"""Redis clients as llmq uses them: bounded waits everywhere, so that a half-open connection is noticed."""

from typing import Any, TypeAlias

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from tasks.broker import masked
from tasks.errors import BrokerUnreachable
from tasks.packer import Packer

TIMEOUT_S = 5.0
# redis-py types every answer as all it could be with any options; ours are str with `connect`.
Client: TypeAlias = Any


def connect(url: str, *, decode: bool = True) -> Client:
    """A client for `url`. `decode=False` gives bytes (paper texts)."""
    return redis.Redis.from_url(
        url,
        decode_responses=decode,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        socket_keepalive=True,
        health_check_interval=30,
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
