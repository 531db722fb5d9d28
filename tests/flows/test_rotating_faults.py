"""Rotations against simulators: every call fails, dies, or is overtaken by another run, before and after its effect."""

from contextlib import suppress

import pytest
from support.rotation_faults import ADDRESS, Setting

from blocks.secret_stores.interface import SupersededError
from flows.rotating import performing
from flows.rotating.loading import Blocks
from flows.rotating.one_secret import rotate
from rules.errors import PermanentError, TemporaryError
from rules.findings import Outcome, Status
from rules.rotation import Done, StepKind


class DiedError(BaseException):
    """Stands for a process that is gone: nothing catches it."""


def calls_of_each_half(accounts):
    setting = Setting(accounts)
    setting.rotation().advance(effects=True)
    first = setting.count
    setting.later().rotation().advance(effects=True)
    return [(half, number) for half, count in ((1, first), (2, setting.count)) for number in range(1, count + 1)]


POINTS = [(half, number, side) for half, number in calls_of_each_half(2) for side in ("before", "after")]


def at(number, side, action):
    def act(count, where, name):
        if (count, where) == (number, side):
            action(name)

    return act


def raising(error):
    def act(_name):
        raise error

    return act


def halfway(half):
    setting = Setting(2)
    if half == 2:
        setting.rotation().advance(effects=True)
        setting.later()
    return setting


def assert_converges(setting):
    assert setting.current_works()
    setting.rotation().advance(effects=True)
    assert setting.current_works()
    _, decision = setting.later(3).rotation().advance(effects=True)
    assert isinstance(decision, Done)
    assert setting.current_works()
    assert not setting.logs_in("a", "first")
    assert setting.store.consume(ADDRESS)[0] == "b"


def test_there_are_enough_points():
    assert len(POINTS) > 60


@pytest.mark.parametrize(("half", "number", "side"), POINTS)
def test_a_run_that_dies_at_any_call_is_finished_by_the_next(half, number, side):
    setting = halfway(half)
    with pytest.raises(DiedError):
        setting.rotation(at(number, side, raising(DiedError()))).advance(effects=True)
    assert_converges(setting)


@pytest.mark.parametrize(("half", "number", "side"), POINTS)
def test_a_call_that_fails_or_loses_its_answer_is_finished_by_the_next_run(half, number, side):
    setting = halfway(half)
    with pytest.raises(TemporaryError, match="no answer"):
        setting.rotation(at(number, side, raising(TemporaryError("no answer")))).advance(effects=True)
    assert_converges(setting)


@pytest.mark.parametrize(("half", "number", "side"), POINTS)
def test_a_run_that_is_overtaken_at_any_call_breaks_nothing(half, number, side):
    setting = halfway(half)
    overtaking = Setting.rotation(setting)
    overtaken = setting.rotation(at(number, side, lambda _: overtaking.advance(effects=True)))
    with suppress(SupersededError, PermanentError):
        overtaken.advance(effects=True)
    assert_converges(setting)


def test_a_lease_that_is_lost_stops_a_run_before_it_touches_the_target():
    setting = Setting(2)
    touched = []

    def check(seconds):
        if seconds:
            raise TemporaryError("the lease is lost")

    rotation = setting.rotation(lambda _, side, name: touched.append(name), check)
    with pytest.raises(TemporaryError, match="lease"):
        rotation.advance(effects=True)
    assert rotation.step.kind is StepKind.APPLY
    assert "apply" not in touched
    assert_converges(setting)


def test_an_unexpected_error_keeps_its_text_to_itself():
    setting = Setting(2)
    secret = RuntimeError("s3cret-in-an-exception")
    for name, word in (("apply", "target"), ("stage", "store")):
        rotation = setting.rotation(lambda _, side, called, name=name: raising(secret)(0) if called == name else None)
        with pytest.raises(PermanentError, match=f"The {word} failed with an unexpected RuntimeError") as caught:
            rotation.advance(effects=True)
        assert "s3cret" not in str(caught.value)
        assert caught.value.__cause__ is None
        setting = Setting(2)


def test_a_target_that_forgets_what_it_was_told_is_quarantined():
    setting = Setting(2)
    rotation = setting.rotation(
        lambda _, side, name: setting.target.give("b", None) if (side, name) == ("after", "apply") else None
    )
    _, decision = rotation.advance(effects=True)
    assert "applied 2 times" in decision.reason
    assert setting.current_works()


def test_a_rotation_that_does_not_end_is_stopped(monkeypatch):
    monkeypatch.setattr(performing, "LONGEST", 3)
    with pytest.raises(PermanentError, match="did not end"):
        Setting(2).rotation().advance(effects=True)


def test_looking_changes_nothing():
    setting = Setting(2)
    before = setting.store.observe(ADDRESS)
    setting.rotation().advance(effects=False)
    assert setting.store.observe(ADDRESS) == before


def test_a_version_that_goes_away_under_a_login_is_no_proof():
    setting = Setting(2)
    rotation = setting.rotation()
    rotation.look()
    assert rotation._verify("gone") is False


def rotate_once(setting):
    blocks = Blocks()
    blocks._loaded = {"memory-store/x": setting.store, "memory-target/y": setting.target}
    return rotate("production", setting.secret, blocks, setting.now, lambda _: None)


def test_a_step_that_failed_is_reported_with_what_was_done_before_it():
    setting = Setting(2)
    setting.target.fail_next("apply", TemporaryError("The server is away."))
    outcome = rotate_once(setting)
    assert [(c.action, c.outcome) for c in outcome.changes] == [
        ("claim", Outcome.DONE),
        ("stage", Outcome.DONE),
        ("apply", Outcome.FAILED),
    ]
    (finding,) = outcome.findings
    assert (finding.rule, finding.status) == ("rotation-incomplete", Status.ERROR)
    assert finding.message == "`apply` failed: The server is away. It continues at the next run."
    assert [c.action for c in rotate_once(setting).changes] == ["claim", "apply", "promote", "confirm"]


def test_a_login_that_could_not_be_tried_is_no_change():
    setting = Setting(2)
    setting.target.fail_next("authenticates", TemporaryError("The server is away."))
    outcome = rotate_once(setting)
    assert outcome.changes == ()
    assert outcome.findings[0].message.startswith("`verify` failed")


def test_a_block_that_went_away_is_reported():
    setting = Setting(2)
    blocks = Blocks()
    blocks._loaded = {"memory-store/x": setting.target}
    outcome = rotate("production", setting.secret, blocks, setting.now, lambda _: None)
    assert "is no secret store" in outcome.findings[0].message
    assert outcome.changes == ()
