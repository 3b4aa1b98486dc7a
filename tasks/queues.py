"""The queues by name: one a model, one a host, and one for work that any model may do."""

ANY_MODEL = "llmq.any"
RETRY_SUFFIX = ".retry"  # consumed before the queue itself


def queue_of(model: str | None, host: str | None = None) -> str:
    """The queue for work that asks for `model`; without one, any host answers with its default. With a
    `host`, it is pinned to that one."""
    if host is not None:
        return queue_of_host(host)
    return ANY_MODEL if model is None else f"llmq.model.{model}"


def queue_of_host(host_id: str) -> str:
    """The queue for work pinned to one host."""
    return f"llmq.host.{host_id}"


def model_of(queue: str, default: str) -> str:
    """What the work in a queue asks for; of pinned work, which may ask for any, the host's `default`."""
    pinned = queue.startswith(queue_of_host(""))
    return default if pinned or queue == ANY_MODEL else queue.removeprefix("llmq.model.")


def is_ours(queue: str) -> bool:
    """Invitations lie in it, and nothing else."""
    return queue.startswith("llmq.")
