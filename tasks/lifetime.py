"""How long runs stay in Redis: an end of life for those that have ended, and a removal that gives
everything back, invitations and texts included."""

from tasks.connection import Client
from tasks.errors import UnknownRun
from tasks.intake.plan import key_of
from tasks.ledger import keys
from tasks.queues import RETRY_SUFFIX
from tasks.reuse import places_of
from tasks.runs import PAGE, Runs
from tasks.work import Bundle, item_id


def settle(runs: Runs, ttl_s: int) -> int:
    """Give ended runs and their results an end of life. Returns how many runs."""
    client: Client = runs.ledger.redis
    count = 0
    while run_id := client.lindex(keys.ENDED, 0):
        try:
            withdraw(runs, str(run_id))
            keep(runs, str(run_id), ttl_s)
        except UnknownRun:  # removed since
            pass
        client.lrem(keys.ENDED, 1, run_id)
        count += 1
    return count


def keep(runs: Runs, run_id: str, ttl_s: int) -> None:
    """Let a run and its results live for `ttl_s` more seconds; 0 removes them. Its texts have a time to
    live of their own, for other runs may share them."""
    client: Client = runs.ledger.redis
    for first in range(0, int(client.llen(keys.plan(run_id))), PAGE):
        _expire_results(runs, run_id, first, ttl_s)
    same = client.hget(keys.run(run_id), "same")
    ours = [same] if same and client.get(same) == run_id else []
    pipe = client.pipeline()
    for key in [*keys.of_run(run_id)[:5], *ours]:
        pipe.expire(key, ttl_s)
    if ttl_s == 0:
        pipe.zrem(keys.RUNS, run_id)
        pipe.lrem(keys.ENDED, 0, run_id)
    pipe.execute()


def remove(runs: Runs, run_id: str) -> None:
    """Take an ended run out of Redis with all that only it needs; Redis then is as it was before. Broken
    off, it can be done again. Raises UnknownRun."""
    withdraw(runs, run_id)
    _drop_unacknowledged(runs.ledger.redis, run_id)
    _forget_answers(runs, run_id, _forget_texts(runs, run_id))
    keep(runs, run_id, 0)


def withdraw(runs: Runs, run_id: str) -> int:
    """Take a run's invitations out of their queues, where nobody may ever consume them. Returns how many.
    Raises UnknownRun."""
    ledger, taken = runs.ledger, 0
    for queue in runs.manifest(run_id).queues:
        for name in (queue, queue + RETRY_SUFFIX):
            length = int(ledger.redis.llen(name))
            for seen in range(0, length, PAGE):  # once round, and no further
                taken += ledger.withdraw(run_id, name, min(PAGE, length - seen))
    return taken


def _drop_unacknowledged(client: Client, run_id: str) -> None:
    """What a killed worker had received: kombu would deliver it again within the hour, to be refused."""
    mark = f'"id": "{run_id}-'
    for tag, message in client.hscan_iter(keys.UNACKED, count=PAGE):
        if mark in message:
            client.hdel(keys.UNACKED, tag)
            client.zrem(keys.UNACKED_INDEX, tag)


def _forget_texts(runs: Runs, run_id: str) -> set[str]:
    """Remove the texts that no other run's plan names, with the answers about them. While another run is
    being submitted nobody knows which it will need, and they stay until their own end of life. Returns the
    papers that stay."""
    known = runs.ids()
    others = [one for one in known if one != run_id]
    ours = _papers(runs, run_id)
    if any(runs.in_submission(one) for one in others):
        return ours
    shared = {paper for other in others for paper in _papers(runs, other) & ours}
    texts = sorted(ours - shared)
    for first in range(0, len(texts), PAGE):
        if runs.ledger.forget(run_id, texts[first : first + PAGE], known) < 0:
            return shared | set(texts[first:])
    return shared


def _forget_answers(runs: Runs, run_id: str, papers: set[str]) -> None:
    """Where this run's answers lie for later runs, about papers that stay and about none, unless a later run
    has them too."""
    manifest = runs.manifest(run_id)
    for first in range(0, int(runs.ledger.redis.llen(keys.plan(run_id))), PAGE):
        asked = [
            (number, bundle, item)
            for number, bundle in runs.page(run_id, first)
            if not bundle.error and (bundle.paper is None or bundle.paper in papers)
            for item in range(len(bundle.prompts))
        ]
        read = _read_by(runs, run_id, asked)
        places = {
            item_id(run_id, number, item): places_of(
                bundle, key_of(manifest, bundle, item, read.get((number, item)))
            )
            for number, bundle, item in asked
            if bundle.parent is None or (number, item) in read
        }
        _forget_places(runs.ledger.redis, places)


def _read_by(runs: Runs, run_id: str, asked: list[tuple[int, Bundle, int]]) -> dict[tuple[int, int], str]:
    """Which answers the items of later stages read, where they were answered themselves."""
    later = [(number, item) for number, bundle, item in asked if bundle.parent is not None]
    results = runs.results(run_id, later)
    return {
        pair: result.content for pair, result in zip(later, results, strict=True) if result and result.content
    }


def _forget_places(client: Client, places: dict[str, tuple[str, tuple[str, str]]]) -> None:
    pipe = client.pipeline(transaction=False)
    for name, fields in places.values():
        pipe.hmget(name, fields)
    found = pipe.execute()
    for (own, (name, fields)), items in zip(places.items(), found, strict=True):
        if ours := [field for field, item in zip(fields, items, strict=True) if item == own]:
            pipe.hdel(name, *ours)
    pipe.execute()


def _papers(runs: Runs, run_id: str) -> set[str]:
    return {bundle.paper for _, bundle in runs.bundles(run_id) if bundle.paper}


def _expire_results(runs: Runs, run_id: str, first: int, ttl_s: int) -> None:
    pipe = runs.ledger.redis.pipeline(transaction=False)
    for number, bundle in runs.page(run_id, first):
        for item in range(len(bundle.prompts)):
            pipe.expire(keys.result(item_id(run_id, number, item)), ttl_s)
    pipe.execute()
