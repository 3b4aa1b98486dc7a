"""For which of this host's models its slots work now: what is due for each, by what the ledger and the other
hosts tell, is weighed by tasks/staying.py."""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from threading import Lock

from tasks.ledger.outlook import Outlook
from tasks.livehost import LiveHost
from tasks.neighbours import Neighbours
from tasks.queues import model_of, queue_of
from tasks.staying import UNKNOWN_LOAD_S, Duty, Pile, Stay, free_of_cost


class OwnModels:
    """Shared by the threads of one worker. `at_work`: the queues of the bundles it holds; `on_turn` hears
    that it works for another model from now on."""

    def __init__(
        self,
        live: LiveHost,
        neighbours: Neighbours,
        at_work: Callable[[], Iterable[str]],
        on_turn: Callable[[], None],
    ) -> None:
        self._live, self._neighbours = live, neighbours
        self._at_work, self._on_turn = at_work, on_turn
        self._stay = Stay()
        self._lock = Lock()

    def of(self, queue: str) -> str:
        """What the work in a queue asks for."""
        models = self._live.models
        return model_of(queue, models[0].name if models else "")

    @property
    def load_s(self) -> float:
        """What it takes to bring in another."""
        return UNKNOWN_LOAD_S if self._live.speeds.load_s is None else self._live.speeds.load_s

    def duty(self, looks: Iterable[tuple[Outlook, bool]]) -> Duty | None:
        """What a free slot may do now. Of each look: may something due be taken? None: anything, for there is
        one model, or going to another costs nothing."""
        live = self._live
        if len(live.models) < 2 or free_of_cost(live.speeds.load_s, live.speeds.item_s):
            return None
        with self._lock:
            at_work = {self.of(queue) for queue in self._at_work()}
            duty = self._stay.next(self._piles(looks), at_work, live.speeds.load_s, time.monotonic())
            self._say(self._stay.goal)
        return duty

    def claimed(self, queue: str) -> None:
        """A bundle of this queue: from now on the host is on its model."""
        model = self.of(queue)
        with self._lock:
            self._stay.claimed(model)
            self._say(model)

    def _say(self, model: str) -> None:
        """The others see in the host record for which model we work."""
        if model != self._live.current:
            self._live.current = model
            if len(self._live.models) > 1:
                self._on_turn()

    def _piles(self, looks: Iterable[tuple[Outlook, bool]]) -> list[Pile]:
        """What is due for each of our models."""
        piles = {model.name: self._empty(model.name) for model in self._live.models}
        for look, takes in looks:
            model = self.of(look.queue)
            pile = piles.get(model, Pile(model))
            if takes:
                priority = max(pile.priority, look.priority) if pile.due_s else look.priority
                pile = replace(pile, due_s=pile.due_s + self._takes_s(look, model), priority=priority)
            piles[model] = replace(pile, coming=pile.coming or look.coming)
        return list(piles.values())

    def _empty(self, model: str) -> Pile:
        able = [host for host in self._neighbours.of(queue_of(model)) if host.able]
        rank = sum(host.current != model and host.id < self._live.host.id for host in able)
        return Pile(model, hosts=sum(host.current == model for host in able), rank=rank)

    def _takes_s(self, look: Outlook, model: str) -> float:
        """How long this host would take for what is due; of a model it has not seen, as for another."""
        known = self._live.speeds.all()
        speed = known.get(model) or next(iter(known.values()), None)
        due = look.due
        if speed is None:
            return float(due.bundles)
        a_bundle_s = speed.bundle_s(due.tokens / due.bundles, due.items / due.bundles, due.answer)
        return due.bundles * a_bundle_s / max(1, self._live.slots)
