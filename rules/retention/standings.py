"""How each run stands: held, live, retained whatever its age, unknown to the policy, or aged by its rules.

Its laws:

* A hold wins over everything, and reaches down to the subflow and task runs of what it holds.
* A run is live until it reaches a terminal state; one that failed with retries left is live; and whatever a live flow
  run owns, however deep, is live with it.
* A task run stands as its flow run does: its results are kept as long as that run's.
* A run that matches no rule is unknown, and kept. A rule or hold that names deployments also covers runs whose
  deployment was deleted, but only to keep: such a run is aged only by rules that surely match it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from typing import NamedTuple

from rules.durations import format_duration
from rules.retention.observed import Class, Run
from rules.retention.wishes import Hold, KeepingRule, Match, RetentionWish

TERMINAL = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
_NEVER = datetime.max.replace(tzinfo=UTC)


class Standing(NamedTuple):
    """How a run stands.

    Attributes:
        verdict: ``HELD``, ``LIVE``, ``RETAINED`` or ``UNKNOWN``, all kept; ``EXPIRED`` means that age decides.
        reason: why, in a few words.
        ended: when age is counted from.
        results: how long its results are kept; None if no rule says.
        artifacts: how long its artifacts are kept; None if no rule says.
    """

    verdict: Class
    reason: str
    ended: datetime
    results: timedelta | None = None
    artifacts: timedelta | None = None


def judge_runs(runs: Mapping[str, Run], policy: RetentionWish, now: datetime) -> dict[str, Standing]:
    """Return the standing of every run, by id.

    Args:
        runs: every flow and task run of the workspace, by id.
        policy: what is wanted.
        now: the one instant of the run.
    """
    held = _reach_down(runs, _held_by(runs.values(), active_holds(policy, now.date())))
    live = _reach_down(runs, {run.id: _why_live(run) for run in runs.values() if is_live(run)})
    last = _kept_last(runs.values(), policy.rules)
    aged: dict[tuple[str, ...], tuple[timedelta | None, timedelta | None, str]] = {}
    standings = {}
    for run in runs.values():
        head = _head(run, runs)
        if reason := held.get(run.id):
            standings[run.id] = Standing(Class.HELD, reason, _NEVER)
        elif reason := live.get(run.id):
            standings[run.id] = Standing(Class.LIVE, reason, _NEVER)
        elif head is None:
            standings[run.id] = Standing(Class.UNKNOWN, "its flow run could not be found", _NEVER)
        elif reason := last.get(head.id):
            standings[run.id] = Standing(Class.RETAINED, reason, head.ended or _NEVER)
        else:
            standings[run.id] = _aged(head, policy.rules, aged)
    return standings


def active_holds(policy: RetentionWish, today: date) -> list[Hold]:
    """Return the holds that have not expired."""
    return [hold for hold in policy.holds if hold.expires >= today]


def is_live(run: Run) -> bool:
    """Return whether a run may still ask for results: not terminal, or failed with retries left.

    A task run of a flow is retried inside its flow run, so for it only the flow run's own life counts.
    """
    if run.state not in TERMINAL:
        return True
    may_retry = run.is_flow or run.owner is None
    return may_retry and run.state == "FAILED" and 0 < run.retries >= run.run_count


def oldest_live_start(runs: Iterable[Run]) -> datetime:
    """Return when the oldest live run first ran; the end of time if none runs.

    Whatever was written after that may be the result of a task whose reference is on its way, or was replaced while
    its flow run retries.
    """
    return min((run.started for run in runs if run.started is not None and is_live(run)), default=_NEVER)


def matches(match: Match, run: Run) -> bool | None:
    """Return whether a run is meant; None where what decides could not be told."""
    if match.all:
        return True
    verdicts: list[bool | None] = []
    if match.tags:
        verdicts.append(any(_fits(tag, match.tags) for tag in run.tags))
    if match.flows:
        verdicts.append(None if run.flow is None else _fits(run.flow, match.flows))
    if match.deployments:
        verdicts.append(None if run.deployment is None else _fits(run.deployment, match.deployments))
    if False in verdicts:
        return False
    return None if None in verdicts else True


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return bool(name) and any(fnmatchcase(name, pattern) for pattern in patterns)


def _covers(rule: KeepingRule, run: Run) -> bool | None:
    fits, spared = matches(rule.match, run), matches(rule.unless, run) if rule.unless else False
    if fits is False or spared is True:
        return False
    return None if fits is None or spared is None else True


def _held_by(runs: Iterable[Run], holds: Sequence[Hold]) -> dict[str, str]:
    return {
        run.id: f"held by {hold.owner} until {hold.expires}: {hold.reason}"
        for run in runs
        for hold in holds[::-1]
        if matches(hold.match, run) is not False
    }


def _why_live(run: Run) -> str:
    if run.state in TERMINAL:
        return f"a run that failed with retries left ({run.run_count} of {run.retries + 1} runs) refers to it"
    return f"a run in state {run.state or 'new'} refers to it"


def _reach_down(runs: Mapping[str, Run], reasons: Mapping[str, str]) -> dict[str, str]:
    owned = defaultdict(list)
    for run in runs.values():
        if run.owner is not None:
            owned[run.owner].append(run.id)
    reached, waiting = dict(reasons), list(reasons)
    while waiting:
        owner = waiting.pop()
        for run_id in owned.get(owner, ()):
            if run_id not in reached:
                reached[run_id] = reached[owner]
                waiting.append(run_id)
    return reached


def _head(run: Run, runs: Mapping[str, Run]) -> Run | None:
    return run if run.is_flow or run.owner is None else runs.get(run.owner)


def _kept_last(runs: Iterable[Run], rules: Sequence[KeepingRule]) -> dict[str, str]:
    keeping = [rule for rule in rules if rule.keep_last]
    ended = [run for run in runs if run.is_flow and run.flow and not is_live(run)]
    latest: Callable[[Run], tuple[datetime, str]] = lambda run: (run.ended or _NEVER, run.id)  # noqa: E731 - typed key
    kept = {}
    for rule in keeping:
        by_flow = defaultdict(list)
        for run in ended:
            if _covers(rule, run) is not False:
                by_flow[run.flow].append(run)
        for group in by_flow.values():
            for run in sorted(group, key=latest, reverse=True)[: rule.keep_last]:
                kept[run.id] = f"among the last {rule.keep_last} runs of its flow, which {rule.name} keeps"
    return kept


def _aged(
    run: Run,
    rules: Sequence[KeepingRule],
    known: dict[tuple[str, ...], tuple[timedelta | None, timedelta | None, str]],
) -> Standing:
    covering = [(rule, covers) for rule in rules if (covers := _covers(rule, run)) is not False]
    sure = tuple(rule.name for rule, covers in covering if covers)
    if run.ended is None or not sure:
        return Standing(Class.UNKNOWN, "no rule of the policy matches its run", _NEVER)
    names = (*sure, "?", *(rule.name for rule, _ in covering))
    if names not in known:
        known[names] = _periods([rule for rule, c in covering if c], [rule for rule, _ in covering])
    results, artifacts, reason = known[names]
    return Standing(Class.EXPIRED, reason, run.ended, results, artifacts)


def _periods(
    sure: Sequence[KeepingRule], possible: Sequence[KeepingRule]
) -> tuple[timedelta | None, timedelta | None, str]:
    results = max((r.results for r in possible if r.results), default=None) if any(r.results for r in sure) else None
    artifacts = (
        max((r.artifacts for r in possible if r.artifacts), default=None) if any(r.artifacts for r in sure) else None
    )
    longest = next((r.name for r in possible if r.results and r.results == results), "")
    reason = f"{longest} keeps results {format_duration(results)}" if results else ""
    return results, artifacts, reason
