"""The bad network of the fault tests is as bad as they say."""

import time
from collections.abc import Iterator

import pytest
import redis

from tests.conftest import RedisServer
from tests.fault.proxy import Proxy


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[Proxy]:
    made = Proxy(redis_server.port)
    yield made
    made.close()


def client(server: RedisServer, proxy: Proxy, timeout_s: float = 0.5) -> "redis.Redis":
    """One connection through the proxy, without retries."""
    return redis.Redis.from_url(
        server.url.replace(str(server.port), str(proxy.port)),
        socket_timeout=timeout_s,
        single_connection_client=True,
        retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
    )


def test_it_passes_and_delays(redis_server: RedisServer, proxy: Proxy) -> None:
    """What goes through arrives, as late as asked in each direction."""
    through = client(redis_server, proxy, 5)
    assert through.set("a", "x" * 200_000)
    proxy.delay_s = 0.1
    begun = time.monotonic()
    assert len(through.get("a")) == 200_000
    assert 0.2 <= time.monotonic() - begun < 2


def test_what_is_cut_stays_dead(redis_server: RedisServer, proxy: Proxy) -> None:
    """A cut loses what is sent; afterwards an old connection is as silent as before, a new one works."""
    through = client(redis_server, proxy)
    assert through.ping()
    proxy.set("cut")
    with pytest.raises(redis.TimeoutError):
        through.set("lost", "1")
    proxy.set("pass")
    assert client(redis_server, proxy).ping()
    assert redis_server.client.get("lost") is None


def test_what_is_held_arrives_later(redis_server: RedisServer, proxy: Proxy) -> None:
    """Held bytes wait, and are delivered when the network is back."""
    through = client(redis_server, proxy)
    assert through.ping()
    proxy.set("hold")
    with pytest.raises(redis.TimeoutError):
        through.set("late", "1")
    assert redis_server.client.get("late") is None
    proxy.set("pass")
    deadline = time.monotonic() + 5
    while redis_server.client.get("late") is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_refuses(redis_server: RedisServer, proxy: Proxy) -> None:
    """A refused connection is reset at once; so are those that were open."""
    through = client(redis_server, proxy)
    assert through.ping()
    proxy.set("refuse")
    with pytest.raises(redis.ConnectionError):
        through.ping()
