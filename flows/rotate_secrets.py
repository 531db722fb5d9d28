"""Rotate secrets: bring every secret of a policy to where its schedule wants it, one crash-proof step at a time."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar, cast

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.utilities.annotations import quote

from blocks.policies.rotation import RotationPolicy, SecretEntry
from blocks.secret_stores.interface import Quota
from flows.exclusion import exclusive
from flows.reporting.publishing import conclude
from flows.rotating.fleet import Pace, each
from flows.rotating.loading import Blocks
from flows.rotating.one_secret import Outcome, Seen, Task, observe, rotate
from flows.rotating.orders import check, chosen, order_of
from rules.errors import BadInputError, VigilesError
from rules.exclusion import EXCLUSION
from rules.findings import Change, Finding, Subject
from rules.rotation import verdicts
from rules.rotation.urgency import most_urgent_first

NAME = "rotate-secrets"

BATCH = 500
"""Secrets of one Prefect task: a task costs about 9 ms, and a batch ends when its slowest secret does."""


@flow(name=NAME, persist_result=False)
def rotate_secrets(
    policy: RotationPolicy,
    mode: Literal["audit", "enforce"] = "audit",
    action: Literal["rotate", "roll-back", "emergency"] = "rotate",
    secrets: list[str] = [],  # noqa: B006 - nobody changes it, and the run form wants a plain list
    accept_outage: bool = False,
) -> State[Any]:
    """Rotate the secrets of a policy that are due, without a moment in which the stored value does not work.

    Args:
        policy: Which secrets, where they are, how often and when.
        mode: audit shows the plan and changes nothing; enforce rotates.
        action: rotate what is due; roll-back takes a rotation of the named secrets back; emergency rotates them now.
        secrets: Names of the secrets to look at; all of the policy if empty.
        accept_outage: In an emergency, take the current credential's access away before there is a new one.
    """
    now = datetime.now(UTC)
    findings: list[Finding] = []
    changes: list[Change] = []
    try:
        check(policy, secrets, action, accept_outage=accept_outage)
        entries = chosen(policy, secrets)
        with exclusive(NAME, policy.name, mode) as lease:
            order = order_of(action, now, accept_outage=accept_outage)
            shared = Task(policy.name, now, order, lease.check, Blocks())
            seen = [
                s
                for some in _batches(entries)
                for s in observe_secrets(_opaque(shared), _opaque(some), mode == "audit")
            ]
            findings, changes = _act(policy, mode, shared, seen)
    except VigilesError as error:
        rule = verdicts.ORDER_FITS if isinstance(error, BadInputError) else EXCLUSION
        subject = Subject("policy", policy.name, policy.name)
        findings = [*findings, rule.unchecked(subject, error.message, error.advice)]
    return conclude(NAME, policy, mode, now, findings, changes)


def _act(policy: RotationPolicy, mode: str, shared: Task, seen: Sequence[Seen]) -> tuple[list[Finding], list[Change]]:
    due = most_urgent_first([s for s in seen if s.changes_now])
    too_many = verdicts.exceeded(policy.name, [s.subject for s in due], policy.max_changes)
    if mode == "audit" or too_many:
        findings = [f for s in seen for f in s.findings]
        planned = [c for s in due if s.coming for c in verdicts.planned(s.subject, s.coming)]
        skipped = [verdicts.skipped_by_ceiling(s.subject) for s in due]
        return [*findings, *too_many], skipped if too_many and mode == "enforce" else planned
    outcomes = [o for some in _batches(due) for o in rotate_batch(_opaque(shared), _opaque(some))]
    findings = [f for s in seen if not s.changes_now for f in s.findings]
    return [*findings, *(f for o in outcomes for f in o.findings)], [c for o in outcomes for c in o.changes]


@task(name="observe-secrets", persist_result=False, cache_policy=NO_CACHE)
def observe_secrets(shared: Task, secrets: Sequence[SecretEntry], closely: bool) -> list[Seen]:
    """Look at every secret: read its store and, closely, log in where that tells something; change nothing."""
    paces = _paces(shared.blocks, (s.store for s in secrets), writing=False)
    return each(
        secrets,
        lambda s: s.store,
        paces,
        lambda s: observe(shared, s, closely=closely, on_throttle=paces[s.store].throttled),
    )


@task(name="rotate-batch", persist_result=False, cache_policy=NO_CACHE)
def rotate_batch(shared: Task, due: Sequence[Seen]) -> list[Outcome]:
    """Take each secret's rotation as far as it goes now; a failure is an outcome, so that the others go on."""
    paces = _paces(shared.blocks, (s.secret.store for s in due), writing=True)
    outcomes = each(
        due,
        lambda s: s.secret.store,
        paces,
        lambda s: rotate(shared, s, on_throttle=paces[s.secret.store].throttled),
    )
    get_run_logger().info("Worked on %d secrets, %s.", len(due), _paces_in_words(paces))
    return outcomes


def _paces(blocks: Blocks, stores: Iterable[str], *, writing: bool) -> dict[str, Pace]:
    return {slug: Pace(_quota(blocks, slug), writing=writing) for slug in dict.fromkeys(stores)}


def _quota(blocks: Blocks, slug: str) -> Quota:
    try:
        return blocks.store(slug).quota
    except VigilesError:
        # It is reported for each of its secrets.
        return Quota("unknown", None, writes=1)


def _paces_in_words(paces: dict[str, Pace]) -> str:
    return ", ".join(f"{pace.places} at a time at {slug}" for slug, pace in paces.items())


_Item = TypeVar("_Item")


def _opaque(value: _Item) -> _Item:
    """Keep Prefect from searching an argument for states of other tasks, which costs more than to observe a secret."""
    return cast("_Item", quote(value))


def _batches(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))
