"""Paper texts in a real Redis."""

import pytest

from tasks.connection import connect
from tasks.ledger import keys
from tasks.texts import Texts

TTL_S = 1000


def test_texts_are_filed_once_and_live_on(redis_url: str) -> None:
    """Those that are there are not written again, and live from now on; new ones beside them are filed."""
    client = connect(redis_url, decode=False)
    Texts(client, ttl_s=TTL_S // 2).put({"p1": "one \udc80"})
    filed = client.get(keys.text("p1"))
    client.set(keys.text("p1"), filed + b"mark", keepttl=True)
    texts = Texts(client, ttl_s=TTL_S)
    texts.put({"p1": "one \udc80", "p2": "two" * 1000})
    assert client.get(keys.text("p1")) == filed + b"mark"
    client.set(keys.text("p1"), filed)
    assert [texts.read("p1"), texts.read("p2")] == ["one \udc80", "two" * 1000]
    assert all(TTL_S // 2 < client.ttl(keys.text(one)) <= TTL_S for one in ("p1", "p2"))
    assert client.strlen(keys.text("p2")) < 100


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_is_nothing(redis_url: str, count: int) -> None:
    """A flush without papers writes nothing."""
    client = connect(redis_url, decode=False)
    Texts(client, ttl_s=TTL_S).put({f"p{n}": "text" for n in range(count)})
    assert client.dbsize() == count
