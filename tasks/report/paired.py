"""Chains as they are ranked: one row each, the last answer's with the figures of the whole. Pure."""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from tasks.errors import InputError
from tasks.report.account import took_s
from tasks.report.gather import gather
from tasks.report.metric import METRICS, Metric
from tasks.report.pairs import hops_of, inference_s
from tasks.report.row import Row, at_s, figure, instant_s
from tasks.report.sample import Gathered

PAIRED = ("pair", "model-pair")
TEXTS = ("response", "reasoning", "prompt_template")
WHOLE = tuple(metric for metric in METRICS.values() if metric.of_chain)


def gather_pairs(rows: Iterable[tuple[str, Row]], per: str) -> Gathered:
    """Samples of chains; `per` `model-pair` takes those of the same two models together, whatever the
    hosts. Rows whose answer another one read are in its chain, and not counted by themselves."""
    chains = list(_chains(rows, models=per == "model-pair"))
    began: dict[str | None, set[str]] = {}
    for _, row in chains:
        began.setdefault(row.get("pair_id"), set()).add(row["began_at"])
    found = gather(chains, "pair")
    for sample in found.samples:  # of one host, which a pair names, nothing need be said
        hosts = began[sample.cell.pair]
        sample.hosts |= hosts if len(hosts) > 1 else set()
    return found


def of_last_hop(metric: Metric) -> Metric:
    """As it is called where chains are ranked: all but theirs are figures of the last answer alone."""
    return metric if metric.of_chain else replace(metric, title=f"{metric.title}, last hop")


def check_of_chains(names: Collection[str], per: str | None) -> None:
    """Raises InputError where figures of chains are asked for and no chains are ranked."""
    for name in names:
        if METRICS[name].of_chain and per not in PAIRED:
            raise InputError(f"{name} is of chains: rank them with --per pair or --per model-pair")


def _chains(rows: Iterable[tuple[str, Row]], *, models: bool) -> Iterator[tuple[str, Row]]:
    kept: dict[tuple[str, str], Row] = {}
    for run, row in rows:
        lean = {name: value for name, value in row.items() if name not in TEXTS}
        lean["model"] = row.get("model") or (row.get("response") or {}).get("model")
        kept[run, str(row.get("item_id") or len(kept))] = lean
    above = {key: (key[0], str(row["parent"])) if row.get("parent") else None for key, row in kept.items()}
    read = set(above.values())
    for key, row in kept.items():
        if key not in read:
            yield key[0], _chain(row, [kept.get(one) for one in hops_of(key, above)], models=models)


def _chain(last: Row, hops: Sequence[Row | None], *, models: bool) -> Row:
    """`hops` from the last to the first, None where one is not among the rows."""
    known = [row for row in reversed(hops) if row is not None]
    pair = last.get("pair_id")
    scales = {row.get("time_scale") for row in known}
    return {
        **last,
        "stage": None,
        "pair_id": _of_models(pair) if pair and models else pair,
        "began_at": str(known[0].get("host")),
        "paper_id": last.get("paper_id") or known[0].get("paper_id"),
        "simulated": any(row.get("simulated") for row in known),
        "time_scale": scales.pop() if len(scales) == 1 else None,
        "cut": any(row.get("cut") for row in known),
        "failures": [one for row in known for one in row.get("failures") or ()],
        "inference_s": inference_s(took_s(row) if row else math.nan for row in hops),
        "total_s": _total_s(hops[-1], last, reused=any(row.get("reused_from") for row in known)),
    }


def _of_models(pair: str) -> str:
    """`peer1:modelA->peer2:modelB` without the hosts, which no model's colon comes before."""
    return "->".join(side.partition(":")[2] or side for side in pair.split("->"))


def _total_s(first: Row | None, last: Row, *, reused: bool) -> float:
    """As in chains.csv; of a file, which has no moment of the answer by the clock of Redis, until it came."""
    if first is None or reused:
        return math.nan
    begin_s = figure(first, "added_ms") / 1000
    begin_s = instant_s(first.get("enqueued_at")) if math.isnan(begin_s) else begin_s
    end_s = figure(last, "ended_ms") / 1000
    end_s = at_s(last, "started_at") + figure(last, "stream_end_s") if math.isnan(end_s) else end_s
    return end_s - begin_s if end_s >= begin_s else math.nan
