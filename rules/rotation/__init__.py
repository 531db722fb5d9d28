"""Rotation, decided: what the next step of one secret's rotation is, and what to say about it.

Pure. ``next_step`` is asked again after every step and never trusts what a journal says was done: it recomputes the
answer from what is observed, so that a run can be cut anywhere and another one, on another machine, continues.
"""

from rules.rotation.deciding import NORMAL, next_step
from rules.rotation.journal import Journal
from rules.rotation.observations import Credential, Observation, SecretPolicy, TargetKind
from rules.rotation.planning import Downtime, Plan, plan
from rules.rotation.steps import Action, Decision, Done, Order, Quarantine, Step, StepKind

__all__ = [
    "NORMAL",
    "Action",
    "Credential",
    "Decision",
    "Done",
    "Downtime",
    "Journal",
    "Observation",
    "Order",
    "Plan",
    "Quarantine",
    "SecretPolicy",
    "Step",
    "StepKind",
    "TargetKind",
    "next_step",
    "plan",
]
