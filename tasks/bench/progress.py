"""How far a cell is, kept with its run: a cell has no results before it has all of them."""

from contextlib import suppress

import redis

from tasks.ledger import keys
from tasks.ledger.ledger import Ledger

FIELD = "cell:"  # of the run's hash, one a cell that is at work or was interrupted


def note(ledger: Ledger, run_id: str, number: int, done: int, of: int) -> None:
    """A note; where Redis is away, the next one will do. A run that is gone stays gone."""
    client, key = ledger.redis, keys.run(run_id)
    with suppress(redis.RedisError):
        if client.exists(key):
            client.hset(key, f"{FIELD}{number}", f"{done} {of}")


def unnote(ledger: Ledger, run_id: str, number: int) -> None:
    with suppress(redis.RedisError):
        ledger.redis.hdel(keys.run(run_id), f"{FIELD}{number}")


def noted(ledger: Ledger, run_id: str) -> dict[int, float]:
    """Cell -> the share of its requests that had ended when it was last seen at work."""
    fields = ledger.patiently(lambda: ledger.redis.hgetall(keys.run(run_id)))
    found = {}
    for name, text in fields.items():
        if name.startswith(FIELD):
            done, of = text.split(" ")
            found[int(name.removeprefix(FIELD))] = int(done) / max(1, int(of))
    return found
