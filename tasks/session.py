"""What a command needs to work with runs: settings, a Redis that answers and may be trusted, and the
views of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import redis

from tasks.broker import broker, check_policy
from tasks.connection import Client, connect, connect_or_say
from tasks.errors import BrokerUnreachable
from tasks.ledger.ledger import Ledger
from tasks.runs import Runs
from tasks.settings import Settings
from tasks.texts import Texts


@dataclass(frozen=True, slots=True)
class Session:
    """Open for as long as a command needs Redis."""

    settings: Settings
    client: Client
    ledger: Ledger
    runs: Runs
    texts: Texts


@contextmanager
def session(
    settings: Settings, *, patient: bool = False, say: Callable[[str], None] = lambda _: None
) -> Iterator[Session]:
    """Raises BrokerUnreachable where no Redis answers, ConfigError where it may drop work. `patient`:
    once it has answered, wait out its absences, and `say` so."""
    with broker(settings) as url:
        client = connect_or_say(url)
        check_policy(client)
        ledger = Ledger(client, lease_s=settings.lease_s, patient=patient, say=say)
        texts = Texts(connect(url, decode=False), ttl_s=int(settings.result_ttl_days * 86400))
        try:
            yield Session(settings, client, ledger, Runs(ledger), texts)
        except redis.RedisError as error:
            raise BrokerUnreachable(f"Redis does not answer: {error}") from error
