"""The seam to a wire format: what an engine's routes say, how it reads a request and streams an answer."""

import itertools
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from worker_agent.simulator.answer import count_tokens
from worker_agent.simulator.line import Line
from worker_agent.simulator.machine import Ask, Machine, Served

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole HTTP answer. `body` is text as it is, anything else as JSON."""

    body: Any
    status: int = 200
    content_type: str = JSON

    def encode(self) -> bytes:
        """The body's bytes."""
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


class Refused(Exception):
    """The engine does not take this request; the argument is the Reply that says so."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply)
        self.reply = reply


class Wire(ABC):
    """One wire format in front of one Machine. An answer is `opening`, a `delta` per chunk, `closing`;
    or, not streamed, `whole`."""

    version: ClassVar[str]  # the engine release whose format this follows
    chat_path: ClassVar[str]
    stream_type: ClassVar[str]
    streams_by_default: ClassVar[bool] = False

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.profile = machine.profile
        self._numbers = itertools.count(1)

    @abstractmethod
    def pages(self) -> Mapping[str, Callable[[], Reply]]:
        """The GET routes."""

    def actions(self) -> Mapping[str, Callable[[dict[str, Any], Line], Reply]]:
        """The POST routes besides chat."""
        return {}

    @abstractmethod
    def lost(self, method: str, path: str) -> Reply:
        """The answer to a route that is not there."""

    @abstractmethod
    def error(self, status: int, message: str) -> Reply:
        """A failure in this wire's words."""

    @abstractmethod
    def unknown_model(self, model: str) -> Reply:
        """The answer to a model this engine does not have."""

    @abstractmethod
    def fit(self, ask: Ask) -> Ask:
        """The request as the engine takes it. Raises Refused where it does not fit the window."""

    @abstractmethod
    def settings(self, body: dict[str, Any]) -> dict[str, Any]:
        """`max_tokens`, `seed` and what else this wire knows of an Ask."""

    def opening(self, ask: Ask) -> bytes:
        """What is sent when a slot begins, before the first token."""
        return b""

    @abstractmethod
    def delta(self, ask: Ask, text: str) -> bytes:
        """One chunk of the answer."""

    @abstractmethod
    def closing(self, ask: Ask, served: Served) -> bytes:
        """The end of the stream."""

    @abstractmethod
    def whole(self, ask: Ask, text: str, served: Served) -> Reply:
        """The answer in one piece."""

    def check_model(self, model: str) -> str:
        """The name, if this engine has it. Raises Refused."""
        if model not in self.profile.models:
            raise Refused(self.unknown_model(model))
        return model

    def read(self, body: dict[str, Any]) -> Ask:
        """The chat request of a JSON body. Raises Refused."""
        try:
            prompt = "\n".join(message["content"] for message in body["messages"])
            stream = bool(body.get("stream", self.streams_by_default))
            model = self.check_model(str(body.get("model", "")))
            number = f"{next(self._numbers):06d}"
            return self.fit(Ask(number, model, prompt, stream=stream, **self.settings(body)))
        except (KeyError, TypeError, AttributeError) as error:
            raise Refused(self.error(400, f"bad request: {error!r}")) from None


def now() -> int:
    """Seconds since 1970, as the `created` fields want them."""
    return int(time.time())


def overflow(ask: Ask, window: int) -> int:
    """Tokens of a prompt that does not fit `window`, else 0."""
    tokens = count_tokens(ask.prompt)
    return tokens if tokens >= window else 0
