"""vLLM: the OpenAI API, with the window in its list of models."""

from dataclasses import replace

from worker_agent.completion import EngineState
from worker_agent.engines.openai import OpenAI
from worker_agent.engines.page import cards, word


class VLLM(OpenAI):
    """Shares its prefix cache between all requests; does not show how many it takes at once."""

    name = "vllm"
    default_port = 8000

    def recognises(self, timeout_s: float) -> bool:
        listed = cards(self._try("/v1/models", timeout_s).json(), "data")
        return any(card.get("owned_by") == "vllm" for card in listed)

    def state(self, timeout_s: float = 2.0) -> EngineState:
        found = super().state(timeout_s)
        version = self._page("/version", timeout_s).json().get("version")
        return replace(found, engine=self.name, version=word(version))
