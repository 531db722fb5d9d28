"""The whole judgement: every rule whose lists could be read, and one error for each thing that could not."""

from collections.abc import Iterator
from datetime import datetime

from rules.findings import Finding
from rules.placement.catalogue import UNSEEN
from rules.placement.deployments import judge_deployments
from rules.placement.estate import Estate
from rules.placement.liveness import judge_liveness
from rules.placement.policy import PlacementPolicy
from rules.placement.pools import judge_pools
from rules.placement.runs import judge_runs


def judge_placement(policy: PlacementPolicy, estate: Estate, now: datetime) -> tuple[Finding, ...]:
    """Return everything that can be said of placement.

    Args:
        policy: what is wanted.
        estate: what was observed; None in place of a list stands for one that could not be read.
        now: the instant of the run (aware, UTC).

    Returns:
        The findings. A rule whose list could not be read says nothing; the gap in the estate is an ``error`` that names
        what is therefore not known.
    """
    return tuple(_findings(policy, estate, now))


def _findings(policy: PlacementPolicy, estate: Estate, now: datetime) -> Iterator[Finding]:
    for gap in estate.gaps:
        yield UNSEEN.unchecked(gap.subject, gap.message, gap.remedy)
    if estate.pools is not None:
        yield from judge_pools(policy, estate.pools)
    if estate.deployments is None:
        return
    yield from judge_deployments(policy, estate.pools, estate.deployments)
    if estate.runs is not None:
        yield from judge_runs(policy, estate.pools, estate.deployments, estate.runs)
    if estate.pools is not None:
        yield from judge_liveness(policy, estate.pools, estate.deployments, estate.runs, now)
