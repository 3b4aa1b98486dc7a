"""How far a cell is, kept with its run: a cell has no results before it has all of them."""

from contextlib import suppress

import redis

from tasks.connection import Client
from tasks.ledger import keys
from tasks.ledger.ledger import Ledger

FIELD = "cell:"  # of the run's hash, one a cell that is at work or was interrupted
WAITS, LOADS, AWAY = "waits", "loads", "away"  # for other work of its host; its model; its engine


def note(ledger: Ledger, run_id: str, number: int, done: int, of: int, word: str = "") -> None:
    """A note; where Redis is away, the next one will do. A run that is gone stays gone, and a cell that has
    its results needs none. `word`: how many failed; or why none is asked yet."""
    key, bundle = keys.run(run_id), f"{keys.bundle_prefix(run_id)}{number}"

    def write(pipe: Client) -> None:
        known = pipe.exists(key) and pipe.exists(bundle)
        pipe.multi()
        if known:
            pipe.hset(key, f"{FIELD}{number}", f"{done} {of} {word}".strip())

    with suppress(redis.RedisError):
        ledger.redis.transaction(write, key, bundle)


def unnote(ledger: Ledger, run_id: str, number: int) -> None:
    with suppress(redis.RedisError):
        ledger.redis.hdel(keys.run(run_id), f"{FIELD}{number}")


def noted(ledger: Ledger, run_id: str) -> dict[int, float]:
    """Cell -> the share of its requests that had ended when it was last seen at work."""
    return {number: int(done) / max(1, int(of)) for number, (done, of, *_) in _notes(ledger, run_id)}


def words(ledger: Ledger, run_id: str) -> dict[int, str]:
    """Cell -> the word of its note, if there is one."""
    return {number: word[0] for number, (_, _, *word) in _notes(ledger, run_id) if word}


def _notes(ledger: Ledger, run_id: str) -> list[tuple[int, list[str]]]:
    fields = ledger.patiently(lambda: ledger.redis.hgetall(keys.run(run_id)))
    return [
        (int(name.removeprefix(FIELD)), text.split(" "))
        for name, text in fields.items()
        if name.startswith(FIELD)
    ]
