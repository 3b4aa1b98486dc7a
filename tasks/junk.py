"""Junk: what lies in a queue and is no invitation. It is set aside, where `llmq doctor` sees it, and never
worked on, so that nothing anybody pushes into Redis stops a worker.

A message is junk if it differs from what `tasks/invite.py` writes, but for what is another in every
message. Knows no Celery; `tasks/transport.py` asks here before Celery sees a message.
"""

import base64
import json
import logging
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import redis

from tasks.connection import Client
from tasks.errors import BadMessage, ProtocolMismatch
from tasks.invite import TASK, Invitation, envelope, written
from tasks.ledger import keys
from tasks.work import PROTOCOL

log = logging.getLogger(__name__)

MOST = 100
SHOWN = 200
MOST_BYTES = 100_000  # an invitation has about 1,000
RUN_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
REDELIVERED = "redelivered"  # kombu adds it


@dataclass(frozen=True, slots=True)
class Junk:
    """What was set aside: from which queue, why, how it begins, and when by the clock of Redis."""

    queue: str
    reason: str
    text: str
    seen_ms: int


def check(raw: bytes, queue: str) -> None:
    """Whether Celery may have this message of `queue`. Raises BadMessage, or ProtocolMismatch for an
    invitation of another version."""
    if len(raw) > MOST_BYTES:
        raise BadMessage(f"it has {len(raw)} bytes")
    if _to_the_letter(raw, queue):
        return
    message = _opened(raw)
    _check_protocol(message)
    if difference := _difference(_template(queue), message, "it"):
        raise BadMessage(difference)


def check_readable(raw: bytes, queue: str) -> None:
    """The same for a queue of Celery's own, as replies to Flower come through. Raises BadMessage."""
    if not isinstance(_json(raw, "it"), dict):
        raise BadMessage("it is no JSON object")


def set_aside(client: Client, queue: str, reason: str, raw: bytes) -> None:
    """Keep the beginning of a message for a person to look at, and say so in the log. Best effort."""
    log.warning("set aside a message of %s: %s: %s", queue, reason, printable(raw))
    try:
        seconds, microseconds = client.time()
        junk = Junk(queue, reason, printable(raw), seconds * 1000 + microseconds // 1000)
        line = json.dumps(asdict(junk))
        client.pipeline().lpush(keys.JUNK, line).ltrim(keys.JUNK, 0, MOST - 1).execute()
    except redis.RedisError as error:
        log.warning("could not keep it: %s", error)


def all_junk(client: Client) -> list[Junk]:
    """What was set aside, the newest first."""
    return [Junk(**json.loads(line)) for line in client.lrange(keys.JUNK, 0, -1)]


def printable(raw: bytes) -> str:
    """The first SHOWN characters, without any that would move a terminal's cursor."""
    text = raw[: 4 * SHOWN].decode("utf-8", "replace")[:SHOWN]
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


def _opened(raw: bytes) -> dict[str, Any]:
    """The message with its body, decoded, as the last member: what names the task is compared first."""
    message = _json(raw, "it")
    if not isinstance(message, dict):
        raise BadMessage(f"it is no JSON object but {message!r:.60}")
    try:
        body = base64.b64decode(message.pop("body", None), validate=True)
    except (TypeError, ValueError) as error:
        raise BadMessage("it has no body in base64") from error
    return message | {"body": _json(body, f"its body ({message.get('content-type')!r:.60})")}


def _to_the_letter(raw: bytes, queue: str) -> bool:
    """Whether it is what `tasks/invite.py` writes, in the same letters: nearly every message is, and a
    pattern sees it in a tenth of the time."""
    outer, inner = _patterns(queue)
    found = outer.fullmatch(raw)
    try:
        return bool(found and inner.fullmatch(base64.b64decode(found["body"], validate=True)))
    except ValueError:
        return False


@lru_cache(maxsize=64)
def _template(queue: str) -> dict[str, Any]:
    return _opened(envelope(Invitation("", 0, ""), queue).encode())


@lru_cache(maxsize=64)
def _patterns(queue: str) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Of a message and of its body: the letters of ours, and any value where each has its own."""
    message = json.loads(envelope(Invitation("", 0, ""), queue))
    body = json.loads(base64.b64decode(message["body"]))
    return _pattern(message), _pattern(body)


def _pattern(ours: Any) -> re.Pattern[bytes]:
    text = re.escape(written(_marked(ours)))
    for mark, letters in LETTERS.items():
        text = text.replace(f'"{mark}"', letters)
    return re.compile(text.encode())


def _marked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: MARKS.get(key) or _marked(one) for key, one in value.items()}
    return [_marked(one) for one in value] if isinstance(value, list) else value


def _json(raw: bytes, what: str) -> Any:
    try:
        value = json.loads(raw.decode())
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair cannot go back to Redis
    except UnicodeError as error:
        raise BadMessage(f"{what} is not UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise BadMessage(f"{what} is not JSON") from error
    return value


def _check_protocol(message: dict[str, Any]) -> None:
    """Leniently: everything else may look different in another version."""
    try:
        task, protocol = message["headers"]["task"], message["body"][1]["protocol"]
    except (TypeError, LookupError):
        return
    if task == TASK and type(protocol) is int and protocol != PROTOCOL:  # True is none
        raise ProtocolMismatch(
            f"a message of protocol {protocol}, and this worker speaks {PROTOCOL}: run the same llmq on all "
            "machines"
        )


def _text(value: object) -> bool:
    return isinstance(value, str)


def _run_id(value: object) -> bool:
    return isinstance(value, str) and RUN_ID.fullmatch(value) is not None


def _bundle(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9


# What is another in every message: any value of that kind will do.
OWN: dict[str, Callable[[object], bool]] = {
    **dict.fromkeys(("id", "root_id", "correlation_id", "delivery_tag", "origin", "reply_to"), _text),
    **dict.fromkeys(("argsrepr", "kwargsrepr", "queue"), _text),
    "run": _run_id,
    "bundle": _bundle,
}

# The same as JSON in ASCII: how a text, a run's id, a number and a body are written. Texts with an escaped
# half of a surrogate pair are for the slow way to judge.
_PLAIN = r"[ !#-\[\]-~]*"
_ESCAPED = r"\\(?:[\"\\/bfnrt]|u(?!d[89a-f])[0-9a-f]{4})"
_TEXT = f'"{_PLAIN}(?:{_ESCAPED}{_PLAIN})*"'
LETTERS = {
    "<text>": _TEXT,
    "<run>": f'"{RUN_ID.pattern}"',
    "<bundle>": "(?:0|[1-9][0-9]{0,8})",
    "<body>": '"(?P<body>[A-Za-z0-9+/=]*)"',
}
_MARK_OF: dict[Callable[[object], bool], str] = {_text: "<text>", _run_id: "<run>", _bundle: "<bundle>"}
MARKS = {key: _MARK_OF[kind] for key, kind in OWN.items()} | {"body": "<body>"}


def _difference(expected: Any, found: Any, path: str) -> str | None:
    """Where a message first differs from one of ours, if it does."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return next(
            filter(None, (_difference_at(key, expected, found, path) for key in expected | found)), None
        )
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return next(filter(None, (_difference(*pair, f"{path}[{at}]") for at, pair in pairs)), None)
    same = type(expected) is type(found) and expected == found  # True is no 1 here
    return None if same else f"{path} is {found!r:.60}"


def _difference_at(key: str, expected: dict[str, Any], found: dict[str, Any], path: str) -> str | None:
    if key == REDELIVERED:
        return None
    if key not in found:
        return f"{path} has no {key}"
    if key not in expected:
        return f"{path} has {key!r:.60}"
    if key in OWN:
        return None if OWN[key](found[key]) else f"{path}.{key} is {found[key]!r:.60}"
    return _difference(expected[key], found[key], f"{path}.{key}")
