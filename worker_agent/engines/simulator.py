"""llmq's own simulated engine: the OpenAI API and a page that says what it pretends to be."""

from worker_agent.completion import EngineState, ModelState
from worker_agent.engines.openai import OpenAI
from worker_agent.engines.page import cards, count, word


class Simulator(OpenAI):
    """Answers without a model; every answer is marked as simulated."""

    name = "simulator"
    default_port = 8765
    wire = "openai"

    def recognises(self, timeout_s: float) -> bool:
        # One that speaks another engine's wire is recognised, and used, as that engine.
        page = self._try("/simulator", timeout_s).json()
        return page.get("simulated") is True and page.get("wire", self.wire) == self.wire

    def state(self, timeout_s: float = 2.0) -> EngineState:
        told = self._fetch("/simulator", timeout_s)
        page = told.json()
        models = tuple(
            ModelState(str(card.get("name")), loaded=True, window=count(card.get("window")))
            for card in cards(page, "models")
        )
        return EngineState(
            self.name,
            word(page.get("version")),
            models,
            count(page.get("slots")),
            simulated=True,
            time_scale=told.time_scale,
        )
