"""Commands on their way to Redis."""

import pytest
from redis import DataError
from redis._parsers.encoders import Encoder
from redis.connection import PythonRespSerializer

from tasks.packer import Packer

COMMANDS = (
    ("PING",),
    ("CONFIG GET", "max*"),
    (b"SET", "ключ", "ünï\r\n" * 2000, "EX", 5),
    ("ZADD", "z", 1.5, b"\x00\xff", -3, ""),
    ("EVALSHA", "f" * 40, 2, "k", memoryview(b"raw"), bytearray(b"more"), 10**20, 1e-7),
)


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: str(words[0]))
def test_a_command_is_packed_as_redis_py_would(words: tuple[object, ...]) -> None:
    """Redis hears the same bytes."""
    theirs = PythonRespSerializer(6000, Encoder("utf-8", "strict", False).encode)
    assert b"".join(Packer().pack(*words)) == b"".join(theirs.pack(*words))


@pytest.mark.parametrize("word", [None, True, [], object()])
def test_what_is_no_word_is_refused(word: object) -> None:
    """As redis-py does: None or a truth value is a mistake of ours, and not to be stored as text."""
    with pytest.raises(DataError):
        Packer().pack("SET", "key", word)


def test_half_a_surrogate_pair_is_refused() -> None:
    """No text that cannot be read again gets into Redis."""
    with pytest.raises(UnicodeEncodeError):
        Packer().pack("SET", "key", "\udc80")
