"""What a plan means to its readers: findings, ceilings, and one change for each thing that goes."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime

from rules.errors import VigilesError
from rules.findings import Change, Finding, Outcome, Rule, Subject
from rules.retention.demands import (
    ARTIFACTS_PAST_RETENTION,
    CACHES_KEPT,
    HOLD_EXPIRED,
    LIVE_RESULT_MISSING,
    RESULT_OUT_OF_REACH,
    RESULTS_PAST_RETENTION,
    RETAINED_RESULT_MISSING,
    RETENTION_CEILING,
    RETENTION_MARK,
    RETENTION_PLAN,
    RETENTION_RECOUNT,
    RETENTION_STORE,
    RUNS_NOT_PRUNED,
    STORE_UNDECLARED,
)
from rules.retention.observed import Class, Mark
from rules.retention.planning import CondemnedArtifact, CondemnedObject, Missing, Plan
from rules.retention.recognition import readable
from rules.retention.wishes import RetentionWish

EXAMPLES = 5


def exceeded_limits(plan: Plan, policy: RetentionWish) -> tuple[Finding, ...]:
    """Return an ``error`` if the plan is larger than the policy's limits allow; nothing otherwise."""
    kept = (
        tally.objects for tallies in plan.tallies.values() for c, tally in tallies.items() if c is not Class.FOREIGN
    )
    shares = (
        (len(plan.objects), sum(kept), "objects"),
        (len(plan.artifacts), sum(plan.artifact_counts.values()), "artifacts"),
    )
    count = len(plan.objects) + len(plan.artifacts)
    limits = policy.limits
    over = [f"{count} objects and artifacts are more than {limits.objects}"] if count > limits.objects else []
    over += [
        f"{part} of {whole} {noun} are more than {limits.percent} percent"
        for part, whole, noun in shares
        if part * 100 > limits.percent * whole
    ]
    if not over:
        return ()
    message = f"The plan exceeds the policy's limits, so nothing may be deleted: {'; '.join(over)}."
    return (RETENTION_CEILING.unchecked(_plan_subject(policy), message, digest=plan.digest),)


def plan_finding(plan: Plan, policy: RetentionWish) -> Finding:
    """Return the finding that carries the plan's digest and its counts by class."""
    message = (
        f"The plan deletes {len(plan.objects)} objects ({size(plan.bytes)}) and {len(plan.artifacts)} artifacts; "
        f"digest {plan.digest[:12]}."
    )
    counts = {
        f"{store} {found}": f"{tally.objects} objects, {size(tally.bytes)}"
        for store, tallies in sorted(plan.tallies.items())
        for found, tally in tallies.items()
    }
    counts |= {f"artifacts {found}": str(n) for found, n in sorted(plan.artifact_counts.items())}
    gone = sum(missing.standing is Class.EXPIRED for missing in plan.missing)
    counts |= {f"references {Class.DANGLING}": f"{len(plan.missing)}, {gone} of them past retention"}
    return RETENTION_PLAN.passed(
        _plan_subject(policy),
        message,
        digest=plan.digest,
        objects=str(len(plan.objects)),
        bytes=str(plan.bytes),
        **counts,
    )


def not_marked(policy: RetentionWish, error: VigilesError) -> Finding:
    """Return the ``error`` that something could not be read, so that nothing was deleted."""
    return RETENTION_MARK.unchecked(
        _plan_subject(policy), f"{error.message} Nothing was deleted.", f"{error.advice} Then run again.".strip()
    )


def store_closed(store: str, error: VigilesError) -> Finding:
    """Return the ``error`` that a store of the policy cannot be pruned."""
    return RETENTION_STORE.unchecked(store_subject(store), error.message, error.advice)


def past_retention(plan: Plan, left: Plan) -> list[Finding]:
    """Return, for each store and for the artifacts, whether anything is past its retention.

    Args:
        plan: what was condemned.
        left: the part of it that is still there; the plan itself in audit mode.
    """
    remaining = {id(c) for c in left.objects}
    findings = []
    for store in sorted(plan.tallies):
        condemned = [c for c in plan.objects if c.store == store]
        still = [c for c in condemned if id(c) in remaining]
        findings.append(_past(RESULTS_PAST_RETENTION, store_subject(store), "results", len(condemned), len(still)))
    artifacts = Subject("artifacts", "typed", "artifacts")
    counts = len(plan.artifacts), len(left.artifacts)
    return [*findings, _past(ARTIFACTS_PAST_RETENTION, artifacts, "artifacts", *counts)]


def missing_results(missing: Iterable[Missing]) -> list[Finding]:
    """Return a finding for each store that lacks results which live or retained runs refer to."""
    groups: dict[tuple[str, bool], list[Missing]] = {}
    for each in missing:
        if each.standing is not Class.EXPIRED:
            groups.setdefault((each.store, each.standing is Class.LIVE), []).append(each)
    return [_missing(store, live, found) for (store, live), found in sorted(groups.items())]


def out_of_reach(mark: Mark, policy: RetentionWish) -> list[Finding]:
    """Return a finding for each place outside the policy's stores that results lie in, if the policy speaks of results.

    A directory that is no store of the policy may be another host's: its results cannot be checked. A block that the
    policy does not name is only an omission.
    """
    if not any(rule.results for rule in policy.rules):
        return []
    return [_elsewhere(place, count) for place, count in sorted(mark.elsewhere.items())]


def caches_kept(plan: Plan, policy: RetentionWish) -> list[Finding]:
    """Return a skipped finding for each store in which caches outlive every rule, because the policy keeps them."""
    return [
        CACHES_KEPT.skipped(
            store_subject(store),
            f"{tallies[Class.CACHED].objects} objects ({size(tallies[Class.CACHED].bytes)}) past their retention are "
            f"kept because they are valid caches, or may be caches that never expire (`caches: {policy.caches}`).",
        )
        for store, tallies in sorted(plan.tallies.items())
        if Class.CACHED in tallies
    ]


def declared_but_idle(policy: RetentionWish, today: date) -> list[Finding]:
    """Return a finding for each hold that has expired and each rule that asks for what is not enforced."""
    expired = [hold for hold in policy.holds if hold.expires < today]
    return [
        *(
            HOLD_EXPIRED.failed(
                Subject("hold", f"{hold.owner}:{hold.reason}", f"{hold.owner}: {hold.reason}"),
                f"The hold of {hold.owner} ({hold.reason}) expired on {hold.expires} and holds nothing.",
            )
            for hold in expired
        ),
        *(
            RUNS_NOT_PRUNED.skipped(
                Subject("retention-rule", rule.name, rule.name),
                "Deleting runs is not enforced: `runs` does nothing yet.",
            )
            for rule in policy.rules
            if rule.runs
        ),
    ]


def recount(survivors: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Return an ``error`` for each store that still holds, unchanged, what was deleted.

    Args:
        survivors: by store, the keys that were found again.
    """
    return [
        RETENTION_RECOUNT.unchecked(
            store_subject(store),
            f"{len(keys)} objects are still there after they were deleted: {_examples(keys)}.",
        )
        for store, keys in sorted(survivors.items())
        if keys
    ]


def object_change(condemned: CondemnedObject, now: datetime, outcome: Outcome, because: str = "") -> Change:
    """Return the change of one condemned object: class, reason, age and bytes, and why it was not done if so."""
    store, listed, verdict = condemned
    age = _age(now, datetime.fromtimestamp(listed.modified_ns / 1_000_000_000, UTC))
    reason = f"{verdict.verdict}, {age} old, {listed.size} bytes: {verdict.reason}."
    return Change("delete", result_subject(store, listed.key), outcome, _join(reason, because))


def artifact_change(condemned: CondemnedArtifact, now: datetime, outcome: Outcome, because: str = "") -> Change:
    """Return the change of one condemned artifact."""
    artifact, verdict = condemned
    reason = f"{verdict.verdict}, {_age(now, artifact.age_from)} old, {artifact.size} characters: {verdict.reason}."
    subject = Subject("artifact", artifact.id, readable(artifact.key or artifact.id))
    return Change("delete", subject, outcome, _join(reason, because))


def planned_changes(plan: Plan, now: datetime, outcome: Outcome, because: str = "") -> list[Change]:
    """Return one change for everything that the plan deletes, all with the same outcome."""
    return [
        *(object_change(condemned, now, outcome, because) for condemned in plan.objects),
        *(artifact_change(condemned, now, outcome, because) for condemned in plan.artifacts),
    ]


def result_subject(store: str, key: str) -> Subject:
    """Return the subject of one object; keys that no reader could print are escaped."""
    return Subject("result", f"{store}:{readable(key)}", f"{store}:{readable(key)}")


def store_subject(store: str) -> Subject:
    """Return the subject of one store."""
    return Subject("result-store", store, store)


def size(count: int) -> str:
    """Return a number of bytes as people read it."""
    for unit, step in (("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)):
        if count >= step:
            return f"{count / step:.1f} {unit}"
    return f"{count} bytes"


def _past(rule: Rule, subject: Subject, noun: str, condemned: int, still: int) -> Finding:
    if still:
        words = f"1 {noun.removesuffix('s')} is past its" if still == 1 else f"{still} {noun} are past their"
        return rule.failed(subject, f"{words} retention.")
    done = f", {condemned} were deleted" if condemned else ""
    return rule.passed(subject, f"No {noun} are past their retention{done}.")


def _missing(store: str, live: bool, found: Sequence[Missing]) -> Finding:
    rule = LIVE_RESULT_MISSING if live else RETAINED_RESULT_MISSING
    keys = sorted({each.key for each in found})
    runs = len({each.run for each in found})
    message = f"{runs} runs refer to {len(keys)} results that are not in the store: {_examples(keys)}."
    return rule.failed(store_subject(store), message)


def _elsewhere(place: str, count: int) -> Finding:
    if place.startswith("/"):
        subject = Subject("directory", readable(place), readable(place))
        return RESULT_OUT_OF_REACH.unchecked(
            subject, f"{count} references lead into a directory of this or another host that is no store of the policy."
        )
    return STORE_UNDECLARED.failed(
        Subject("block", place, place), f"{count} references lead to a block that the policy does not name."
    )


def _examples(keys: Sequence[str]) -> str:
    shown = ", ".join(readable(key) for key in keys[:EXAMPLES])
    return shown + (f" and {len(keys) - EXAMPLES} more" if len(keys) > EXAMPLES else "")


def _age(now: datetime, since: datetime) -> str:
    hours = int((now - since).total_seconds() // 3_600)
    days = hours // 24
    return f"{days} days" if days > 1 else f"{hours} hours"


def _join(reason: str, because: str) -> str:
    return f"{reason} {because}".strip()


def _plan_subject(policy: RetentionWish) -> Subject:
    return Subject("policy", policy.name, policy.name)
