"""Every engine llmq can talk to. A new one is a file here and a line in ENGINES."""

from worker_agent.config import Host
from worker_agent.engines.base import Engine
from worker_agent.engines.exo import Exo
from worker_agent.engines.llama_cpp import LlamaCpp
from worker_agent.engines.lm_studio import LMStudio
from worker_agent.engines.ollama import Ollama
from worker_agent.engines.openai import OpenAI
from worker_agent.engines.simulator import Simulator
from worker_agent.engines.transport import Call
from worker_agent.engines.vllm import VLLM
from worker_agent.errors import ConfigError

__all__ = ["ENGINES", "Call", "Engine", "connect"]

# In the order of detection: what is most certain first, what anybody may imitate last.
ENGINES: dict[str, type[Engine]] = {
    engine.name: engine for engine in (Simulator, LlamaCpp, Exo, LMStudio, Ollama, VLLM, OpenAI)
}


def connect(host: Host, timeout_s: float = 2.0) -> Engine:
    """The engine of a host. Sends nothing, unless the host's engine is "auto": then it asks.

    Raises ConfigError for an unknown engine; for "auto" EngineUnavailable when no engine answers
    and RequestRejected when it wants an API key.
    """
    if host.engine == "auto":
        from worker_agent.detect import detect_engine  # it walks ENGINES

        return detect_engine(host.url, timeout_s, host.api_key)
    if host.engine not in ENGINES:
        raise ConfigError(f"host {host.id}: unknown engine '{host.engine}'; known: {', '.join(ENGINES)}")
    return ENGINES[host.engine](host.url, api_key=host.api_key)
