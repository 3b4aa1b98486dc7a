"""Paper texts in Redis: each once, compressed, under the hash of its content."""

import zlib
from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock

from tasks.connection import Client
from tasks.ledger import keys
from worker_agent.errors import LLMQError


class TextMissing(LLMQError):
    """Redis no longer has the text of a paper; submitting again brings it back."""

    kind = "text_missing"
    retryable = True


class Texts:
    """The store, with a few texts kept in memory (the next bundle is often of the same paper)."""

    def __init__(self, client: Client, *, ttl_s: int, keep: int = 8) -> None:
        self._redis, self.ttl_s, self._keep = client, ttl_s, keep
        self._recent: OrderedDict[str, str] = OrderedDict()
        self._lock = Lock()

    def put(self, texts: Mapping[str, str]) -> None:
        """File texts by their papers' ids, or extend the life of those that are there; in two round trips."""
        pipe = self._redis.pipeline(transaction=False)
        for paper_id in texts:
            pipe.expire(keys.text(paper_id), self.ttl_s)
        for (paper_id, text), there in zip(texts.items(), pipe.execute(), strict=True):
            if not there:
                packed = zlib.compress(text.encode("utf-8", "surrogatepass"), 6)
                pipe.set(keys.text(paper_id), packed, ex=self.ttl_s)
        pipe.execute()

    def read(self, paper_id: str) -> str:
        """A paper's text. Raises TextMissing."""
        with self._lock:
            if paper_id in self._recent:
                self._recent.move_to_end(paper_id)
                return self._recent[paper_id]
        pipe = self._redis.pipeline(transaction=False)
        pipe.get(keys.text(paper_id)).expire(keys.text(paper_id), self.ttl_s)
        packed, _ = pipe.execute()  # an open run never loses its papers
        if packed is None:
            raise TextMissing(
                f"the text of paper {paper_id[:12]} is not in Redis any more; submit with --fresh"
            )
        text = zlib.decompress(packed).decode("utf-8", "surrogatepass")
        with self._lock:
            self._recent[paper_id] = text
            while len(self._recent) > self._keep:
                self._recent.popitem(last=False)
        return text
