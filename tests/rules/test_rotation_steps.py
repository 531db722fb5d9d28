"""The next step of one secret, picture by picture."""

from dataclasses import replace
from datetime import timedelta

import pytest
from support.rotation_world import EVERY, GRACE, START, Wish, World

from rules.rotation import Done, Journal, Observation, Quarantine, Step, StepKind, TargetKind, next_step
from rules.rotation.observations import journal_from_json

ALTERNATING, SINGLE, GENERATED = TargetKind.ALTERNATING, TargetKind.SINGLE_SLOT, TargetKind.GENERATED
STAGED = Observation(ALTERNATING, current="c", pending="p", journal=Journal(1, "r", base="c", pending="p"), claimed=1)
PROMOTED = replace(STAGED, current="p", previous="c")
CONFIRMED = Observation(
    ALTERNATING,
    current="p",
    previous="c",
    journal=Journal(1, "r", confirmed="p", rotated_at=START - GRACE, retire_after=START),
    claimed=1,
)


def step(observation, wish=None, now=START):
    return next_step(observation, wish or Wish(), now)


def kinds_of_a_whole_rotation(kind):
    world, kinds = World(kind), []
    while isinstance(decision := next_step(world.observe(), Wish(), world.now), Step) or decision.in_grace:
        if isinstance(decision, Done):
            world = world.later(GRACE)
            kinds.append("wait")
            continue
        kinds.append(decision.kind.value)
        world = world.after(decision)[-1]
    return " ".join(kinds)


def test_a_generated_value_is_staged_read_back_and_promoted():
    assert kinds_of_a_whole_rotation(GENERATED) == "claim stage verify promote confirm wait claim forget"


def test_a_pair_is_applied_only_after_it_is_staged_and_promoted_only_after_a_login():
    assert kinds_of_a_whole_rotation(ALTERNATING) == (
        "verify claim stage verify apply verify promote confirm wait verify verify claim retire verify forget"
    )


def test_one_slot_is_verified_dead_before_it_is_forgotten():
    assert kinds_of_a_whole_rotation(SINGLE) == (
        "verify claim stage verify apply verify promote confirm wait verify verify claim forget"
    )


@pytest.mark.parametrize(
    ("observation", "kind"),
    [
        (Observation(GENERATED), StepKind.CLAIM),
        (Observation(GENERATED, claimed=0), StepKind.STAGE),
        (Observation(ALTERNATING, claimed=0), StepKind.STAGE),
        (Observation(ALTERNATING, current="c"), StepKind.VERIFY),
        (Observation(ALTERNATING, current="c", proofs={"c": True}), StepKind.CLAIM),
        (STAGED, StepKind.VERIFY),
        (replace(STAGED, proofs={"p": True}), StepKind.PROMOTE),
        (replace(STAGED, proofs={"p": False}), StepKind.VERIFY),
        (replace(STAGED, proofs={"p": False, "c": True}), StepKind.APPLY),
        (
            replace(STAGED, current=None, journal=replace(STAGED.journal, base=None), proofs={"p": False}),
            StepKind.APPLY,
        ),
        (replace(STAGED, proofs={"p": False, "c": False}, previous="q"), StepKind.VERIFY),
        (PROMOTED, StepKind.VERIFY),
        (replace(PROMOTED, proofs={"p": True}), StepKind.CONFIRM),
        (replace(PROMOTED, pending=None, proofs={"p": True}), StepKind.CONFIRM),
        (CONFIRMED, StepKind.VERIFY),
        (replace(CONFIRMED, proofs={"p": True}), StepKind.VERIFY),
        (replace(CONFIRMED, proofs={"p": True, "c": True}), StepKind.RETIRE),
        (replace(CONFIRMED, proofs={"p": True, "c": False}), StepKind.FORGET),
        (replace(CONFIRMED, kind=GENERATED), StepKind.FORGET),
    ],
)
def test_the_next_step_follows_from_the_picture(observation, kind):
    assert step(observation).kind is kind


@pytest.mark.parametrize(
    ("observation", "word"),
    [
        (replace(STAGED, claimed=0), "Another run"),
        (Observation(ALTERNATING, current="c", proofs={"c": False}), "does not authenticate"),
        (replace(STAGED, pending="x"), "no journal explains"),
        (replace(STAGED, current="x"), "somebody else"),
        (replace(STAGED, pending=None), "no longer holds"),
        (replace(STAGED, kind=GENERATED, proofs={"p": False}), "read back"),
        (replace(STAGED, proofs={"p": False, "c": False}), "Neither"),
        (replace(STAGED, proofs={"p": False, "c": False, "q": True}, previous="q"), "but the previous one does"),
        (replace(STAGED, proofs={"p": False, "c": False, "q": False}, previous="q"), "nor does the previous"),
        (replace(STAGED, proofs={"p": False, "c": True}, applied=2), "applied 2 times"),
        (replace(PROMOTED, proofs={"p": False, "c": True}), "does not authenticate any more"),
        (replace(CONFIRMED, journal=Journal(1)), "no journal explains"),
        (replace(CONFIRMED, current="c"), "undid"),
        (replace(CONFIRMED, current=None), "undid"),
        (replace(CONFIRMED, proofs={"p": False, "c": True}), "nothing is retired"),
        (replace(CONFIRMED, proofs={"p": True, "c": True}, retired=2), "retired 2 times"),
        (replace(CONFIRMED, kind=SINGLE, proofs={"p": True, "c": True}), "Two passwords"),
    ],
)
def test_what_cannot_be_explained_is_quarantined(observation, word):
    decision = step(observation)
    assert isinstance(decision, Quarantine)
    assert word in decision.reason


def rotated(hours):
    return Observation(GENERATED, current="c", journal=Journal(1, "r", rotated_at=START - timedelta(hours=hours)))


@pytest.mark.parametrize(("hours", "due"), [(0, False), (23, False), (24, True), (400, True)])
def test_a_secret_is_due_when_its_time_is_over(hours, due):
    assert isinstance(step(rotated(hours)), Step) is due


def test_what_is_due_waits_for_its_window():
    decision = step(rotated(400), Wish(window="Mon 02:00-06:00 UTC"))
    assert isinstance(decision, Done)
    assert decision.due
    assert decision.until == START + timedelta(days=1, hours=2)


def test_what_is_due_begins_in_its_window():
    assert isinstance(step(rotated(400), Wish(window="Sun 00:00-06:00 UTC")), Step)


def test_a_rotation_that_has_begun_is_finished_outside_its_window():
    assert step(replace(STAGED, proofs={"p": True}), Wish(window="Mon 02:00-06:00 UTC")).kind is StepKind.PROMOTE


def test_the_old_version_lives_until_its_grace_is_over():
    decision = step(CONFIRMED, now=START - timedelta(seconds=1))
    assert isinstance(decision, Done)
    assert decision.in_grace
    assert decision.until == START


def test_a_journal_is_read_back_as_it_was_written():
    for journal in (Journal(), STAGED.journal, CONFIRMED.journal):
        assert journal_from_json(journal.to_json()) == journal


@pytest.mark.parametrize("instant", ["2026-01-01T00:00:00", "yesterday"])
def test_a_journal_with_an_unclear_instant_is_refused(instant):
    with pytest.raises(ValueError):
        journal_from_json(Journal().to_json() | {"rotated_at": instant})


def test_a_rotation_is_not_due_again_before_its_period():
    assert step(rotated(0)).until == START + EVERY
