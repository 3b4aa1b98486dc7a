"""Every key llmq writes to Redis, and how long it lives. No other module spells a key.

A run is these and no others. Once it has ended they live 30 days from last use (a setting); an open run
never ends. `llmq rm` removes them at once (tasks/lifetime.py):

    llmq:run:<run>           hash    the manifest: what was asked, how the run stands, and who answered it
    llmq:plan:<run>          list    one record a bundle, in order; its index is the bundle's number
    llmq:owed:<run>          zset    bundle number -> the moment we stop trusting whoever holds it (ms);
                                     empty, and so gone, when the run has ended
    llmq:due:<run>:<queue>   zset    the unheld bundles of a queue, with the same scores; gone likewise
    llmq:bundle:<run>:<n>    hash    an open bundle: holder, items left, failures; gone when it is done
                                     or its run cancelled
    llmq:counts:<run>        hash    items by outcome and host, bundles waiting by queue
    llmq:done:<run>          list    "<bundle> <item>" in the order results landed
    celery-task-meta-<item>  string  an item's result, an ordinary Celery result

Beside runs:

    llmq:runs                zset    run -> created (ms)
    llmq:open                set     runs that still owe something
    llmq:ended               list    runs whose results have yet to be given an end of life
    llmq:same:<digest>       string  what was asked, of files of which sizes -> the latest run that
                                     asked it (tasks/sameness.py compares their contents)
    llmq:text:<paper>        string  a paper's text, compressed; 30 days from its last use by any run,
                                     which each submit and each reading is; goes with the last run
                                     that names it where that is removed
    llmq:answers:<paper>     hash    answer key -> the item that has the answer; lives and goes as the text
    llmq:hosts               set     ids of hosts that had a worker
    llmq:host:<id>           string  a live worker's record, with a time to live
    llmq:held:<host>         set     "<run> <bundle>" that host's worker holds
    llmq:drained             set     ids of hosts that somebody paused, until somebody resumes them
    llmq:machine:<machine>   hash    the cell of a benchmark that has it to itself, and which hosts wait
                                     for it since when; goes a minute after the last
    llmq:steward             string  the leading worker
    llmq:tick                hash    the steward's last tick, and until when it expires nothing
    llmq:cancelled           channel runs, as they are cancelled
    llmq:junk                list    the newest 100 messages that were no invitations, set aside
    llmq:late                channel "<token> <item>": somebody else has answered what this holder asks now
    llmq:paused              channel "look <host>": it was paused or resumed; "shut <host>": its calls end now

Kombu's, where invitations lie; a run's leave them when it has ended or is removed:

    llmq.model.<model>, llmq.any, llmq.host.<id>, each also with `.retry`     lists of messages
    unacked, unacked_index   hash, zset  messages that a worker has received
"""

from functools import lru_cache

RUNS = "llmq:runs"
OPEN = "llmq:open"
ENDED = "llmq:ended"
STEWARD = "llmq:steward"
TICK = "llmq:tick"
CANCELLED = "llmq:cancelled"
LATE = "llmq:late"
HOSTS = "llmq:hosts"
DRAINED = "llmq:drained"
PAUSED = "llmq:paused"
JUNK = "llmq:junk"

# As common.lua has them: the member of a run's set that says more bundles are coming, and where scores
# stop saying an order (due) and start being milliseconds.
SUBMISSION = "submission"
FIRST_MOMENT = 10**12

UNACKED = "unacked"
UNACKED_INDEX = "unacked_index"

HELD_PREFIX = "llmq:held:"
RESULT_PREFIX = "celery-task-meta-"


def run(run_id: str) -> str:
    return f"llmq:run:{run_id}"


def plan(run_id: str) -> str:
    return f"llmq:plan:{run_id}"


def owed(run_id: str) -> str:
    return f"llmq:owed:{run_id}"


def bundle_prefix(run_id: str) -> str:
    return f"llmq:bundle:{run_id}:"


def due(run_id: str, queue: str) -> str:
    return f"llmq:due:{run_id}:{queue}"


def counts(run_id: str) -> str:
    return f"llmq:counts:{run_id}"


def done(run_id: str) -> str:
    return f"llmq:done:{run_id}"


def same(digest: str) -> str:
    return f"llmq:same:{digest}"


def text(paper_id: str) -> str:
    return f"llmq:text:{paper_id}"


def answers(paper_id: str) -> str:
    return f"llmq:answers:{paper_id}"


def host(host_id: str) -> str:
    return f"llmq:host:{host_id}"


def held(host_id: str) -> str:
    return HELD_PREFIX + host_id


def machine(name: str) -> str:
    return f"llmq:machine:{name}"


def result(item_id: str) -> str:
    """Celery's own key for the result of a task of this id."""
    return RESULT_PREFIX + item_id


@lru_cache(maxsize=64)
@lru_cache(maxsize=64)
def of_run(run_id: str) -> tuple[str, ...]:
    """The KEYS of every script, in the order `common.lua` names them."""
    return (
        run(run_id),
        plan(run_id),
        owed(run_id),
        counts(run_id),
        done(run_id),
        bundle_prefix(run_id),
        result(f"{run_id}-"),
        HELD_PREFIX,
        OPEN,
        ENDED,
        RUNS,
        due(run_id, ""),
    )
