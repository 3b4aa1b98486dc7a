"""The wire formats a simulator can speak, by the name in a profile."""

from worker_agent.simulator.wires.base import Wire
from worker_agent.simulator.wires.lm_studio import LMStudioWire
from worker_agent.simulator.wires.ollama import OllamaWire
from worker_agent.simulator.wires.openai import OpenAIWire

WIRES: dict[str, type[Wire]] = {"ollama": OllamaWire, "lm_studio": LMStudioWire, "openai": OpenAIWire}
