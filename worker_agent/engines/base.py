"""The seam to an LLM server: recognise it, probe it, make a model ready, ask it, stop asking."""

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, ClassVar

from worker_agent.completion import Completion, EngineState, Limits, ModelMemory, ModelState, Request
from worker_agent.engines.answer import Delta, gather
from worker_agent.engines.page import Page, simulated, time_scale
from worker_agent.engines.refusal import first_words, refusal, stream_refusal
from worker_agent.engines.transport import Ask, Call, Reply, send
from worker_agent.errors import BadReply, EngineError, ModelNotFound
from worker_agent.wakeups import SLEEPER

PROBE_S = 5.0
LOAD_S = 600.0

Line = tuple[bytes, float]  # without its end, and when its first byte arrived


class Engine(ABC):
    """One engine at one address. Every failure leaves as a leaf of `EngineError`.

    An instance is shared by all slots of a host and safe to use from several threads.
    """

    name: ClassVar[str]  # the word in fleet.toml and in results
    default_port: ClassVar[int]
    chat_path: ClassVar[str]

    def __init__(self, url: str, *, api_key: str | None = None) -> None:
        self.url = url.rstrip("/")
        self.api_key = api_key
        self._preparing = threading.Lock()

    @abstractmethod
    def recognises(self, timeout_s: float) -> bool:
        """Does this kind of engine answer at the address? Raises RequestRejected if it wants a key."""

    @abstractmethod
    def state(self, timeout_s: float = 2.0) -> EngineState:
        """What answers here now: version, models, slots. `timeout_s` holds for each request."""

    def prepare(self, model: str, context_length: int | None = None) -> ModelState:
        """Make `model` ready, loading it once however many threads ask, and say which window to
        use on every request. Raises ModelNotFound."""
        with self._preparing:
            return self._prepare(model, context_length)

    def model_memory(self, model: str, timeout_s: float = 1.0) -> ModelMemory | None:
        """What `model` takes while it is loaded; None where it is not, or the engine does not say."""
        return None

    def complete(self, request: Request, call: Call) -> Completion:
        """Stream one answer to its end. `call.cancel()` from any thread ends it with CallCancelled."""
        try:
            return self._complete(request, call)
        except EngineError as error:
            error.broken_off = call.broken_off()
            raise

    def _complete(self, request: Request, call: Call) -> Completion:
        tag = {"x-request-id": request.request_id} if request.request_id else {}
        body = json.dumps(self._chat(request)).encode()
        ask = Ask("POST", self.url + self.chat_path, self._headers() | tag, body)
        with SLEEPER.watching(), send(ask, call) as reply:
            try:
                return self._gather(request, reply)
            except EngineError as error:
                error.http_status = reply.status
                raise

    @property
    def where(self) -> str:
        """How messages name this engine."""
        return f"{self.name} at {self.url}"

    # What an engine has of its own.

    @abstractmethod
    def _chat(self, request: Request) -> dict[str, Any]:
        """The body of a streaming chat request."""

    @abstractmethod
    def _deltas(self, lines: Iterable[Line]) -> Iterator[Delta]:
        """What the lines of the reply say. Raises what an error event means."""

    def _prepare(self, model: str, context_length: int | None) -> ModelState:
        return self._find(model, self.state(PROBE_S).models)

    def _is_other(self, asked: str, answered: str) -> bool:
        """Is this an answer of a model that was not asked for? Most engines would refuse instead."""
        return False

    # What they share.

    def _gather(self, request: Request, reply: Reply) -> Completion:
        if reply.status != 200:
            raise self._hidden(refusal(reply.status, reply.body(), self.where))
        marks = simulated(reply.headers), time_scale(reply.headers)
        return gather(self._heard(request, reply), reply.sent, self.where, *marks)

    def _heard(self, request: Request, reply: Reply) -> Iterator[Delta]:
        """The deltas up to the end mark; each token buys the engine time for the next."""
        for delta in self._deltas(reply.lines()):
            if delta.model and self._is_other(request.model, delta.model):
                raise ModelNotFound(f"{self.where}: asked '{request.model}', '{delta.model}' answered")
            if delta.token:
                reply.token(delta.at, len(delta.content) + len(delta.reasoning))
            yield delta
            if delta.done:
                return

    def _find(self, model: str, models: Iterable[ModelState]) -> ModelState:
        """The state of `model`. Raises ModelNotFound, which lists what there is."""
        known = {state.name: state for state in models}
        if model in known:
            return known[model]
        names = ", ".join(islice(known, 10)) or "no model"
        raise ModelNotFound(f"{self.where}: no model '{model}'; it has {names}")

    def _page(self, path: str, timeout_s: float, sent: dict[str, Any] | None = None) -> Page:
        """GET, or POST of `sent`, whatever the status of the reply."""
        method, body = ("GET", None) if sent is None else ("POST", json.dumps(sent).encode())
        ask = Ask(method, self.url + path, self._headers(), body, awaited="reply")
        with send(ask, Call(Limits(connect_s=timeout_s, first_token_s=timeout_s))) as reply:
            return Page(reply.status, reply.headers, reply.body())

    def _fetch(self, path: str, timeout_s: float, sent: dict[str, Any] | None = None) -> Page:
        """As `_page`; a refusal or a reply that is no JSON object is raised."""
        page = self._page(path, timeout_s, sent)
        if page.status == 404 and sent is None:
            raise BadReply(f"{self.where}: no page {path}; is it {self.name}?")
        if page.status != 200:
            raise self._hidden(refusal(page.status, page.body, f"{self.where}{path}"))
        if not page.json() or "error" in page.json():  # LM Studio says so with HTTP 200
            raise self._stray(page.body)
        return page

    def _try(self, path: str, timeout_s: float) -> Page:
        """As `_page`; only a wish for a key is raised. For `recognises`."""
        page = self._page(path, timeout_s)
        if page.status in (401, 403):
            raise self._hidden(refusal(page.status, page.body, f"{self.where}{path}"))
        return page

    def _headers(self) -> dict[str, str]:
        key = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        return {"Content-Type": "application/json", "Accept": "*/*", **key}

    def _object(self, text: bytes) -> dict[str, Any]:
        """One JSON object of a stream. Raises BadReply, and what an error event means."""
        try:
            event = json.loads(text)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            raise BadReply(f"{self.where}: unreadable: {first_words(text)}")
        if "error" in event or event.get("object") == "error":  # the latter: vLLM of old
            raise self._hidden(stream_refusal(event, self.where))
        return event

    def _stray(self, text: bytes, rest: Iterable[Line] = ()) -> EngineError:
        """A reply outside the wire format: an error object with HTTP 200, a web page, broken JSON."""
        body = b"\n".join([text, *(line for line, _ in islice(rest, 20))])
        try:
            self._object(body)
        except EngineError as error:
            return error
        return BadReply(f"{self.where}: not a stream: {first_words(body)}")

    def _hidden(self, error: EngineError) -> EngineError:
        """The error without our key: some servers quote the one they refuse."""
        return type(error)(str(error).replace(self.api_key, "***")) if self.api_key else error


def loaded_first(models: Iterable[ModelState]) -> tuple[ModelState, ...]:
    """The order of `EngineState.models`."""
    return tuple(sorted(models, key=lambda model: not model.loaded))
