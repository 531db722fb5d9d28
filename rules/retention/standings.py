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
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from rules.durations import format_duration
from rules.patterns import matches as fits
from rules.retention.observed import Class, Run
from rules.retention.wishes import Hold, KeepingRule, Match, RetentionWish

TERMINAL = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
_NEVER = datetime.max.replace(tzinfo=UTC)


class Standing(NamedTuple):
    """How a run stands.

    Attributes:
        verdict: ``HELD``, ``LIVE``, ``RETAINED`` or ``UNKNOWN``, all kept; ``EXPIRED`` means that age decides.
        reason: why, in a few words.
        ended_ns: when age is counted from, in nanoseconds since 1970.
        results_ns: how long its results are kept, in nanoseconds; None if no rule says.
        artifacts: how long its artifacts are kept; None if no rule says.
    """

    verdict: Class
    reason: str
    ended_ns: int = 0
    results_ns: int | None = None
    artifacts: timedelta | None = None


class _Periods(NamedTuple):
    results_ns: int | None
    artifacts: timedelta | None
    reason: str


_NOT_FOUND = Standing(Class.UNKNOWN, "its flow run could not be found")
_UNMATCHED = Standing(Class.UNKNOWN, "no rule of the policy matches its run")


def judge_runs(runs: Mapping[str, Run], policy: RetentionWish, now: datetime) -> dict[str, Standing]:
    """Return the standing of every run, by id.

    Args:
        runs: every flow and task run of the workspace, by id.
        policy: what is wanted.
        now: the one instant of the run.
    """
    living = {run_id: run for run_id, run in runs.items() if is_live(run)}
    held = _reach_down(runs, _held_by(runs.values(), active_holds(policy, now.date())))
    live = _reach_down(runs, {run_id: _why_live(run) for run_id, run in living.items()})
    last = _kept_last([run for run_id, run in runs.items() if run_id not in living], policy.rules)
    known: dict[tuple[str | None, str | None, frozenset[str]], _Periods | None] = {}
    standings = {}
    for run_id, run in runs.items():
        head = run if run.is_flow or run.owner is None else runs.get(run.owner)
        if run_id in held:
            standings[run_id] = Standing(Class.HELD, held[run_id])
        elif run_id in live:
            standings[run_id] = Standing(Class.LIVE, live[run_id])
        elif head is None:
            standings[run_id] = _NOT_FOUND
        elif head.id in last:
            standings[run_id] = Standing(Class.RETAINED, last[head.id])
        else:
            standings[run_id] = _aged(head, policy.rules, known)
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
    return min((run.started for run in runs if is_live(run) and run.started is not None), default=_NEVER)


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
    return bool(name) and any(fits(name, pattern) for pattern in patterns)


def _covers(rule: KeepingRule, run: Run) -> bool | None:
    fits, spared = matches(rule.match, run), matches(rule.unless, run) if rule.unless else False
    if fits is False or spared is True:
        return False
    return None if fits is None or spared is None else True


def _held_by(runs: Iterable[Run], holds: Sequence[Hold]) -> dict[str, str]:
    if not holds:
        return {}
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
    if not reasons:
        return {}
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


def _ended_last(run: Run) -> tuple[datetime, str]:
    return (run.ended or _NEVER, run.id)


def _kept_last(over: Iterable[Run], rules: Sequence[KeepingRule]) -> dict[str, str]:
    keeping = [rule for rule in rules if rule.keep_last]
    ended = [run for run in over if run.is_flow and run.flow] if keeping else []
    kept = {}
    for rule in keeping:
        by_flow = defaultdict(list)
        for run in ended:
            if _covers(rule, run) is not False:
                by_flow[run.flow].append(run)
        for group in by_flow.values():
            for run in sorted(group, key=_ended_last, reverse=True)[: rule.keep_last]:
                kept[run.id] = f"among the last {rule.keep_last} runs of its flow, which {rule.name} keeps"
    return kept


def _aged(
    run: Run,
    rules: Sequence[KeepingRule],
    known: dict[tuple[str | None, str | None, frozenset[str]], _Periods | None],
) -> Standing:
    # What rules match depends on nothing else, and runs that are alike come by the thousand.
    alike = (run.flow, run.deployment, run.tags)
    if alike not in known:
        known[alike] = _periods(run, rules)
    periods = known[alike]
    if periods is None or run.ended is None:
        return _UNMATCHED
    return Standing(Class.EXPIRED, periods.reason, nanoseconds(run.ended), periods.results_ns, periods.artifacts)


def _periods(run: Run, rules: Sequence[KeepingRule]) -> _Periods | None:
    covers = {rule.name: _covers(rule, run) for rule in rules}
    possible = [rule for rule in rules if covers[rule.name] is not False]
    sure = [rule for rule in possible if covers[rule.name]]
    if not sure:
        return None
    results = _longest([r.results for r in possible]) if any(r.results for r in sure) else None
    artifacts = _longest([r.artifacts for r in possible]) if any(r.artifacts for r in sure) else None
    if results is None:
        return _Periods(None, artifacts, "")
    longest = next(rule.name for rule in possible if rule.results == results)
    return _Periods(nanoseconds_of(results), artifacts, f"{longest} keeps results {format_duration(results)}")


def _longest(periods: Sequence[timedelta | None]) -> timedelta:
    return max(period for period in periods if period is not None)


def nanoseconds(moment: datetime) -> int:
    """Return an aware time as whole nanoseconds since 1970, exact to the microsecond until the year 2255."""
    return round(moment.timestamp() * 1_000_000) * 1_000


def nanoseconds_of(length: timedelta) -> int:
    """Return a length of time as whole nanoseconds."""
    return (length.days * 86_400 + length.seconds) * 1_000_000_000 + length.microseconds * 1_000
