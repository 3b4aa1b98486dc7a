"""Putting a run's bundles into Redis, many at a time: plan and ledger first, then their invitations."""

from collections.abc import Sequence

from tasks.errors import SubmissionStopped
from tasks.invite import Invitation, invite
from tasks.ledger.ledger import Ledger
from tasks.work import Bundle, Entry


class Behind(SubmissionStopped):
    """Redis came back without a part of the plan: begin again where it ends now."""


def enqueue(
    ledger: Ledger,
    run_id: str,
    submitter: str,
    files_done: int,
    first: int,
    entries: Sequence[Entry],
    contents: str = "",
) -> None:
    """Add `entries`, numbered from `first`, and invite for what is left of them. `contents`: a digest of the
    files read by now. Raises Behind, SubmissionStopped."""
    answer = ledger.add(run_id, submitter, files_done, first, entries, contents)
    if answer == "lost":
        raise SubmissionStopped(f"another command goes on submitting run {run_id}; `llmq watch` follows it")
    if answer == "cancelled":
        raise SubmissionStopped(f"run {run_id} was cancelled while it was being submitted")
    if answer == "behind":
        raise Behind(f"Redis came back without a part of run {run_id}; give the same command again")
    closed = {number for number, entry in enumerate(entries, first) if not entry.open}
    invitations = [
        Invitation(run_id, number, entry.queue, label(entry.bundle))
        for number, entry in enumerate(entries, first)
        if entry.open and not entry.bundle.copies and (entry.bundle.after < 0 or entry.bundle.after in closed)
    ]
    ledger.patiently(lambda: invite(ledger.redis, invitations))


def label(bundle: Bundle) -> str:
    """What a person reads in Flower."""
    return f"{bundle.file or 'no paper'}: {len(bundle.prompts)} prompts, {bundle.model or 'any model'}"
