"""Rotation, decided: what the next step of one secret's rotation is, and what to say about it.

Pure. ``next_step`` is asked again after every step and never trusts what a journal says was done: it recomputes the
answer from what is observed, so that a run can be cut anywhere and another one, on another machine, continues.
"""

from rules.rotation.deciding import Decision, Done, Quarantine, Step, StepKind, next_step
from rules.rotation.observations import Journal, Observation, SecretPolicy, TargetKind
from rules.rotation.planning import Downtime, Plan, plan

__all__ = [
    "Decision",
    "Done",
    "Downtime",
    "Journal",
    "Observation",
    "Plan",
    "Quarantine",
    "SecretPolicy",
    "Step",
    "StepKind",
    "TargetKind",
    "next_step",
    "plan",
]
