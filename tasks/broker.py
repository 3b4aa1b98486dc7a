"""Which Redis a command or worker uses, and whether it is fit for use. Knows nothing of queues or runs."""

import atexit
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis

from tasks.embedded import Embedded
from tasks.errors import BrokerUnreachable
from tasks.settings import Settings
from worker_agent.errors import ConfigError


class Attached:
    """A hold on a Redis at `url`. `close()` lets go (twice is harmless); so does the end of the process."""

    def __init__(self, url: str, let_go: Callable[[], None] = lambda: None) -> None:
        self.url = url
        self._let_go: Callable[[], None] | None = let_go
        self._owner = os.getpid()
        atexit.register(self.close)

    def __repr__(self) -> str:
        return f"Attached({masked(self.url)})"

    def close(self) -> None:
        let_go, self._let_go = self._let_go, None
        # A forked child inherits the hold; only who took it may let go.
        if let_go and os.getpid() == self._owner:
            atexit.unregister(self.close)
            let_go()


@contextmanager
def broker(settings: Settings) -> Iterator[str]:
    """The URL of the Redis to use, password included, for as long as the block runs."""
    attached = attach(settings)
    try:
        yield attached.url
    finally:
        attached.close()


def attach(settings: Settings) -> Attached:
    """Hold the Redis of `settings`: the one it names, unasked whether it answers, else llmq's own, started
    if it does not run. Raises BrokerUnreachable."""
    if settings.redis_url:
        return Attached(settings.redis_url)
    server = Embedded(settings.home / "redis")
    try:
        return Attached(server.enter(), server.leave)
    except OSError as error:
        raise BrokerUnreachable(f"llmq cannot run its own Redis in {server.folder}: {error}") from error


def running_url(settings: Settings) -> str:
    """Where Redis is, or will be, without starting anything; Celery's default where nobody knows yet."""
    return settings.redis_url or Embedded(settings.home / "redis").url or "redis://127.0.0.1:6379/0"


def check_policy(client: "redis.Redis") -> None:
    """Raises ConfigError unless Redis runs with `noeviction`: with anything else it may forget papers,
    results and owed work. Raises BrokerUnreachable if it does not say."""
    try:
        policy = client.info("memory")["maxmemory_policy"]  # unlike CONFIG GET, open to a restricted user
    except redis.RedisError as error:
        raise BrokerUnreachable(f"Redis does not tell its maxmemory-policy: {error}") from error
    if policy != "noeviction":
        raise ConfigError(
            f"this Redis may throw work away: its maxmemory-policy is {policy}. Set it with: "
            f"{_redis_cli(client)} CONFIG SET maxmemory-policy noeviction"
        )


def _redis_cli(client: "redis.Redis") -> str:
    where = client.connection_pool.connection_kwargs
    return f"redis-cli -h {where.get('host', 'localhost')} -p {where.get('port', 6379)}"


def masked(url: str) -> str:
    """`url` with its password hidden, for messages and logs."""
    return re.sub(r"(?<=\bpassword=)[^&]*", "***", re.sub(r"(//[^/@]*:).*@", r"\1***@", url))
