"""Rules that are broken on purpose, each in one way, to show that the search would notice."""

from rules.rotation import Done, Quarantine, Step, StepKind, TargetKind, next_step


def promotes_before_a_login(o, policy, now, order):
    if o.pending is not None and o.claimed is not None and o.current == o.journal.base:
        return Step(StepKind.PROMOTE, "mutant", o.pending)
    return next_step(o, policy, now, order)


def retires_before_promoting(o, policy, now, order):
    decision = next_step(o, policy, now, order)
    if isinstance(decision, Step) and decision.kind is StepKind.PROMOTE:
        return Step(StepKind.CUT, "mutant", o.current)
    return decision


def retires_before_the_confirmation(o, policy, now, order):
    decision = next_step(o, policy, now, order)
    if isinstance(decision, Step) and decision.kind is StepKind.CONFIRM and o.previous and not o.retired:
        return Step(StepKind.RETIRE, "mutant", o.previous)
    return decision


def retires_before_the_grace_is_over(o, policy, now, order):
    decision = next_step(o, policy, now, order)
    if isinstance(decision, Done) and decision.in_grace:
        return next_step(o, policy, decision.until, order)
    return decision


def forgets_what_is_alive(o, policy, now, order):
    decision = next_step(o, policy, now, order)
    if isinstance(decision, Step) and decision.kind is StepKind.RETIRE:
        return Step(StepKind.FORGET, "mutant", o.previous)
    return decision


def deletes_the_oldest_at_the_cap(o, policy, now, order):
    decision = next_step(o, policy, now, order)
    full = o.credentials is not None and len(o.credentials) >= o.capacity
    if full and isinstance(decision, Step) and decision.kind in (StepKind.INTEND, StepKind.RECLAIM):
        return Step(StepKind.RECLAIM, "mutant", credential=o.credentials[0].id)
    return decision


def reclaims_without_a_snapshot(o, policy, now, order):
    decision = next_step(o, policy, now, order)
    others = [c.id for c in o.credentials or () if c.id != o.accounts.get(o.current)]
    if others and isinstance(decision, Step) and decision.kind is StepKind.INTEND:
        return Step(StepKind.RECLAIM, "mutant", credential=others[0])
    return decision


def never_reclaims(o, policy, now, order):
    decision = next_step(o, policy, now, order)
    if isinstance(decision, Step) and decision.kind is StepKind.RECLAIM:
        return Step(StepKind.MINT, "mutant")
    return decision


def reclaims_whenever_it_was_made(o, policy, now, order):
    decision = next_step(o, policy, now, order)
    unknown = [c.id for c in o.credentials or () if c.id not in o.journal.live]
    if unknown and isinstance(decision, Quarantine):
        return Step(StepKind.RECLAIM, "mutant", credential=unknown[-1])
    return decision


def generates_over_a_pending_one(o, policy, now, order):
    # Drops it untried, after which another one is generated.
    if o.pending is not None and not o.fresh and o.claimed is not None and o.current != o.pending:
        return Step(StepKind.DISCARD, "mutant", o.pending)
    return next_step(o, policy, now, order)


I1, I2, I3, I5 = "I1", "I2", "I3", "I5"
ALTERNATING, SINGLE, MINT, GENERATED = (
    TargetKind.ALTERNATING,
    TargetKind.SINGLE_SLOT,
    TargetKind.MINT,
    TargetKind.GENERATED,
)
MUTANTS = (
    (promotes_before_a_login, ALTERNATING, I1),
    (promotes_before_a_login, ALTERNATING, I5),
    (promotes_before_a_login, GENERATED, I5),
    (retires_before_promoting, ALTERNATING, I1),
    (retires_before_promoting, MINT, I1),
    (retires_before_the_confirmation, ALTERNATING, "the previous version died"),
    (retires_before_the_grace_is_over, ALTERNATING, "the previous version died"),
    (retires_before_the_grace_is_over, GENERATED, "the previous version died"),
    (forgets_what_is_alive, ALTERNATING, I2),
    (deletes_the_oldest_at_the_cap, MINT, I1),
    (reclaims_without_a_snapshot, MINT, "a stranger's credential"),
    (never_reclaims, MINT, I3),
    (generates_over_a_pending_one, SINGLE, I1),
)
"""Each mutant with a kind of target at which it does harm, and the law that it breaks there."""
