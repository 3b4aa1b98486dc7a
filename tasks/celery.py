"""The Celery app: `celery -A tasks worker`, `celery -A tasks flower`. Importing it starts nothing."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES
from kombu.utils.objects import cached_property

from tasks.broker import running_url
from tasks.settings import read_settings
from worker_agent.errors import ConfigError

if TYPE_CHECKING:
    from tasks.serving import Serving


class Fleet(Celery):
    """Celery whose workers serve one host each; `serving` is set in a worker process only."""

    serving: "Serving"

    @cached_property
    def Worker(self) -> Any:
        return self.subclass_with_self("tasks.worker:FleetWorker")

    def use(self, redis_url: str) -> None:
        """Broker and result backend, for everything that connects from now on."""
        self.conf.update(broker_url=redis_url, result_backend=redis_url)


# By scheme and not by `broker_transport`, which would make kombu forget that rediss:// means TLS.
TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "tasks.transport:Transport"))
app = Fleet("llmq")
app.config_from_object("tasks.celeryconfig")
with suppress(ConfigError):  # whoever starts a worker hears of it in a line of its own
    app.use(running_url(read_settings()))
