"""Every engine llmq can talk to. A new one is a file here and a line in ENGINES."""

from worker_agent.engines.base import Engine
from worker_agent.engines.exo import Exo
from worker_agent.engines.llama_cpp import LlamaCpp
from worker_agent.engines.lm_studio import LMStudio
from worker_agent.engines.ollama import Ollama
from worker_agent.engines.openai import OpenAI
from worker_agent.engines.simulator import Simulator
from worker_agent.engines.transport import Call
from worker_agent.engines.vllm import VLLM

__all__ = ["ENGINES", "Call", "Engine"]

# In the order of detection: what is most certain first, what anybody may imitate last.
ENGINES: dict[str, type[Engine]] = {
    engine.name: engine for engine in (Simulator, LlamaCpp, Exo, LMStudio, Ollama, VLLM, OpenAI)
}
