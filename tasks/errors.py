"""What only the master can meet: papers, prompts, the broker, runs. It extends the tree of
`worker_agent/errors.py`; classes take one message and define no `__init__`.

    LLMQError
    ├── InputError               a path, prompt or preset that cannot be used; the message lists every fault
    │   └── PaperError           a supported file that gives no text: one failed result per prompt
    │       ├── NoText           `no_text`     a scan: pages without letters
    │       ├── Encrypted        `encrypted`   it asks for a password
    │       ├── Corrupt          `corrupt`     not what its suffix says, or broken
    │       ├── TooBig           `too_big`     bytes, pages, characters or memory above the limit
    │       ├── ReadTimeout      `timeout`     reading took longer than the limit
    │       ├── ReaderCrashed    `crashed`     the PDF reader died on it
    │       ├── EmptyPaper       `empty`       no characters at all
    │       ├── NotUtf8          `not_utf8`    text in another encoding
    │       └── Unreadable       `unreadable`  vanished, no permission, not a file
    ├── OutputError              the output file cannot be written; the results are kept
    ├── BrokerUnreachable        Redis does not answer                             retryable
    ├── UnknownRun               no such run, or the word fits several
    ├── SubmissionStopped        the run was cancelled, or another command goes on submitting it
    ├── BadMessage               what lies in a queue is no invitation
    └── ProtocolMismatch         written by another version of llmq
"""

from worker_agent.errors import LLMQError


class InputError(LLMQError):
    """What the user named cannot be used; the message lists every fault and the next step."""

    kind = "input"


class PaperError(InputError):
    """A file of a supported type gives no text; `kind` says why."""

    kind = "paper"


class NoText(PaperError):
    """The pages have no letters in them: it needs OCR."""

    kind = "no_text"


class Encrypted(PaperError):
    """The file opens only with a password."""

    kind = "encrypted"


class Corrupt(PaperError):
    """The file is broken, or is not what its suffix says."""

    kind = "corrupt"


class TooBig(PaperError):
    """Bytes, pages, characters or memory are above the limit."""

    kind = "too_big"


class ReadTimeout(PaperError):
    """Reading the file took longer than the limit."""

    kind = "timeout"


class ReaderCrashed(PaperError):
    """The PDF reader died on the file."""

    kind = "crashed"


class EmptyPaper(PaperError):
    """The file has no characters."""

    kind = "empty"


class NotUtf8(PaperError):
    """A text file in an encoding that does not say its name."""

    kind = "not_utf8"


class Unreadable(PaperError):
    """The file vanished, is not permitted to us, or is no regular file."""

    kind = "unreadable"


class OutputError(LLMQError):
    """An output file cannot be written. The results stay where they are."""

    kind = "output"


class BrokerUnreachable(LLMQError):
    """Redis does not answer, or refuses us."""

    kind = "broker"
    retryable = True


class UnknownRun(LLMQError):
    """No run has this id, prefix or name, or several have."""

    kind = "unknown_run"


class SubmissionStopped(LLMQError):
    """The run was cancelled, or another command goes on submitting it."""

    kind = "stopped"


class BadMessage(LLMQError):
    """What lies in a queue is no invitation; the message says why."""

    kind = "junk"


class ProtocolMismatch(LLMQError):
    """A message or record was written by another version of llmq."""

    kind = "protocol"
