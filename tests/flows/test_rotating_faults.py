"""What a run does about faults that the matrix does not play: other runs, leases, patience, targets that lie."""

from contextlib import suppress
from datetime import timedelta

import pytest
from support.fault_matrix import KINDS
from support.rotation_faults import ADDRESS, Setting

from blocks.rotation_targets.interface import RejectedError, UnprovableError
from blocks.secret_stores.interface import ConflictError, SupersededError, ThrottledError, VersionGoneError
from flows.exclusion import LeaseLostError
from flows.rotating import performing
from flows.rotating.loading import Blocks
from flows.rotating.one_secret import Task, observe, rotate
from flows.rotating.performing import PATIENCE, THROTTLED_PATIENCE
from rules.errors import PermanentError, TemporaryError
from rules.findings import Outcome, Status
from rules.rotation import NORMAL, Action, Done, Order, Quarantine, StepKind
from rules.rotation.minting import SKEW
from rules.rotation.staging import REPLACEMENTS


def raising(error, calls=(), times=1, side="before"):
    """Raise before or after the next so many of these calls; of any call where none is named."""
    left = iter(range(times))

    def act(_, where, call):
        if where == side and (not calls or call in calls) and next(left, None) is not None:
            raise error

    return act


def kinds(rotation):
    return [step.kind.value for step in rotation.steps]


def assert_converges(setting):
    assert setting.current_works() or setting.pending_works()
    setting.rotate()
    assert setting.current_works()
    _, decision = setting.later().rotation().advance(effects=True)
    assert isinstance(decision, Done), decision
    assert setting.only_current_lives()
    assert setting.consumed()[1] != "first-password"


POINTS = {
    (kind, half, number)
    for kind in KINDS
    for half in (1, 2)
    for number in range(1, (Setting(kind).rotate() if half == 1 else Setting(kind).rotate().later().rotate()).count + 1)
}


def test_there_are_enough_points():
    assert len(POINTS) >= 70


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize(("kind", "half", "number"), sorted(POINTS))
def test_a_run_that_is_overtaken_at_any_call_breaks_nothing(kind, half, number, side):
    setting = Setting(kind) if half == 1 else Setting(kind).rotate().later()
    other = Setting.rotation(setting)

    def overtake(count, where, _):
        if (count, where) == (number, side):
            other.advance(effects=True)

    with suppress(SupersededError, PermanentError):
        setting.rotation(overtake).advance(effects=True)
    assert_converges(setting)


def test_a_run_that_is_superseded_midway_stops_there():
    setting = Setting()
    other = setting.rotation()
    overtaken = setting.rotation(lambda _, side, call: other.advance(effects=True) if call == "stage" else None)
    with pytest.raises(SupersededError):
        overtaken.advance(effects=True)
    assert kinds(overtaken) == ["claim"]
    assert setting.pauses == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_lease_that_is_lost_stops_a_run_before_each_effect(kind):
    for number in range(1, 6):
        setting, seen = Setting(kind), []

        def check(seconds, seen=seen, number=number):
            seen.append(seconds)
            if len(seen) == number:
                raise LeaseLostError("The lease is lost.", "Run again.")

        rotation = setting.rotation(check_lease=check)
        with pytest.raises(LeaseLostError):
            rotation.advance(effects=True)
        assert len(rotation.steps) == number - 1
        assert rotation.step.has_effect
        assert_converges(setting)


def test_a_lease_is_asked_for_as_long_as_the_target_may_take():
    seen = []
    setting = Setting()
    setting.rotation(check_lease=seen.append).advance(effects=True)
    assert seen == [performing.STORE_SECONDS + (1.0 if number == 2 else 0.0) for number in range(5)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_that_throttles_thrice_is_waited_for(kind):
    setting, throttles = Setting(kind), []
    act = raising(BlockingIOError(), ["promote"], times=3)
    setting.rotation(act, on_throttle=lambda: throttles.append(1)).advance(effects=True)
    assert len(throttles) == 3
    assert setting.pauses == [0.2, 0.4, 0.8]
    assert_converges(setting)


@pytest.mark.parametrize(
    ("fault", "ends_as", "patience"),
    [(BlockingIOError(), ThrottledError, THROTTLED_PATIENCE), (TimeoutError(), TemporaryError, PATIENCE)],
    ids=["throttled", "silent"],
)
@pytest.mark.parametrize("call", ["observe", "reveal", "claim", "stage", "promote", "confirm"])
def test_a_store_that_never_answers_ends_the_run_and_nothing_is_lost(call, fault, ends_as, patience):
    setting = Setting()
    with pytest.raises(ends_as):
        setting.rotation(raising(fault, [call], times=100)).advance(effects=True)
    assert len(setting.pauses) == patience
    assert_converges(setting)


def test_a_credential_whose_answer_is_lost_is_deleted_before_another_is_minted():
    setting = Setting("mint")
    with pytest.raises(TemporaryError):
        setting.rotation(raising(TemporaryError("No answer."), ["mint"], side="after")).advance(effects=True)
    assert set(setting.target.living) == {"a", "key1"}
    rotation = setting.rotation()
    rotation.advance(effects=True)
    assert kinds(rotation) == ["claim", "reclaim", "mint", "promote", "confirm"]
    assert set(setting.target.living) == {"a", "key2"}


def test_a_mint_that_fails_without_an_effect_is_repeated_by_the_next_run():
    setting = Setting("mint")
    with pytest.raises(TemporaryError):
        setting.rotation(raising(TemporaryError("No answer."), ["mint"])).advance(effects=True)
    assert_converges(setting)
    assert set(setting.target.living) == {"key1"}


def test_an_answer_of_the_store_that_is_older_than_the_own_claim_is_not_believed():
    setting = Setting()
    rotation = setting.rotation(raising(TimeoutError(), ["stage"]))
    observe, old = rotation._store.observe, setting.store.observe(ADDRESS)
    # The first look, and three more after the fault: each as if nothing had been claimed.
    answers = [old] * 4
    object.__setattr__(rotation._store, "observe", lambda a: answers.pop() if answers else observe(a))
    rotation.advance(effects=True)
    assert kinds(rotation) == ["claim", "stage", "apply", "promote", "confirm"]
    assert len(setting.pauses) == 4


@pytest.mark.parametrize("kind", ["alternating", "dual", "mint"])
def test_a_target_that_lets_anything_in_proves_nothing(kind, monkeypatch):
    setting = Setting(kind)
    monkeypatch.setattr(type(setting.target), "accepts", lambda *_: True)
    with pytest.raises(UnprovableError):
        setting.rotation().advance(effects=True)
    assert setting.consumed() == ("a", "first-password")


def test_a_single_slot_that_lets_anything_in_is_quarantined(monkeypatch):
    setting = Setting("single-slot")
    monkeypatch.setattr(type(setting.target), "accepts", lambda *_: True)
    _, decision = setting.rotation().advance(effects=True)
    assert isinstance(decision, Quarantine)
    assert setting.consumed() == ("a", "first-password")


def test_nothing_is_confirmed_when_consumers_read_another_value():
    setting = Setting()
    rotation = setting.rotation()
    reveal = rotation._store.reveal

    def revealed(address, version):
        found = reveal(address, version)
        promoted = rotation.step.kind is StepKind.CONFIRM
        return found.model_copy(update={"username": "b "}) if promoted else found

    object.__setattr__(rotation._store, "reveal", revealed)
    with pytest.raises(ConflictError, match="What consumers read"):
        rotation.advance(effects=True)
    assert rotation.step.kind is StepKind.CONFIRM
    assert_converges(setting)


def test_a_cap_that_strangers_fill_is_quarantined_and_no_key_is_deleted():
    setting = Setting("mint")
    setting.target.give("stranger", "nobody-of-ours")
    _, decision = setting.rotation().advance(effects=True)
    assert isinstance(decision, Quarantine)
    assert "stranger" in decision.reason
    assert set(setting.target.living) == {"a", "stranger"}


def test_an_account_that_was_deleted_ends_the_run_and_consumers_keep_theirs():
    setting = Setting()
    setting.target.remove("b")
    with pytest.raises(PermanentError, match="no such account"):
        setting.rotation().advance(effects=True)
    assert setting.current_works()


def test_a_value_that_is_refused_twice_is_replaced():
    setting = Setting()
    rotation = setting.rotation(raising(RejectedError("Too plain."), ["apply"], times=2))
    rotation.advance(effects=True)
    assert kinds(rotation) == ["claim", "stage", "apply", "apply", "discard", "stage", "apply", "promote", "confirm"]
    assert_converges(setting)


def test_a_target_that_refuses_every_value_is_quarantined():
    setting = Setting()
    rotation = setting.rotation(raising(RejectedError("Too plain."), ["apply"], times=100))
    _, decision = rotation.advance(effects=True)
    assert isinstance(decision, Quarantine)
    assert kinds(rotation).count("stage") == REPLACEMENTS + 1
    assert_converges(setting)


@pytest.mark.parametrize(("behind", "expected"), [(SKEW / 2, "reclaim"), (SKEW * 2, None)])
def test_a_target_whose_clock_is_behind_is_believed_within_the_skew(behind, expected):
    setting = Setting("mint", cap=3)
    setting.target._now = lambda: setting.now - behind
    with pytest.raises(TemporaryError):
        setting.rotation(raising(TemporaryError("No answer."), ["mint"], side="after")).advance(effects=True)
    rotation = setting.rotation()
    _, decision = rotation.advance(effects=True)
    assert ("reclaim" in kinds(rotation)) is (expected is not None)
    assert isinstance(decision, Done if expected else Quarantine)
    assert setting.current_works()


def test_a_clock_that_was_set_back_does_not_shorten_the_grace():
    setting = Setting().later(-24).rotate()
    retire_after = setting.store.observe(ADDRESS).journal.retire_after
    assert retire_after >= setting.now + timedelta(hours=24)


def test_an_unexpected_error_keeps_its_text_to_itself():
    for call, word in (("apply", "target"), ("observe", "store")):
        rotation = Setting().rotation()
        asked = rotation._target if word == "target" else rotation._store
        object.__setattr__(asked, call, raising_always(RuntimeError("s3cret-in-an-exception")))
        with pytest.raises(PermanentError, match=f"The {word} failed with an unexpected RuntimeError") as caught:
            rotation.advance(effects=True)
        assert "s3cret" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


def raising_always(error):
    def called(*_):
        raise error

    return called


def test_a_target_that_forgets_what_it_was_told_is_quarantined():
    setting = Setting()
    forget = lambda _, side, call: setting.target.give("b", None) if (side, call) == ("after", "apply") else None  # noqa: E731
    _, decision = setting.rotation(forget).advance(effects=True)
    assert "applied 2 times" in decision.reason
    assert setting.current_works()


def test_a_rotation_that_does_not_end_is_stopped(monkeypatch):
    monkeypatch.setattr(performing, "LONGEST", 3)
    with pytest.raises(PermanentError, match="did not end"):
        Setting().rotation().advance(effects=True)


def test_looking_changes_nothing():
    setting = Setting()
    before = setting.store.observe(ADDRESS)
    setting.rotation().advance(effects=False)
    assert setting.store.observe(ADDRESS) == before


def test_a_fault_of_the_store_ends_a_look_at_once():
    setting = Setting()
    with pytest.raises(TemporaryError):
        setting.rotation(raising(TimeoutError(), ["observe"])).advance(effects=False)
    assert setting.pauses == []


def test_a_version_that_goes_away_under_a_login_ends_the_run():
    rotation = Setting().rotation()
    rotation.look()
    with pytest.raises(VersionGoneError):
        rotation._effects._verify("gone")


def test_an_emergency_revokes_what_is_not_current_even_a_strangers():
    setting = Setting("mint", cap=3)
    setting.target.give("stranger", "nobody-of-ours")
    setting.rotation(order=Order(Action.EMERGENCY, setting.now)).advance(effects=True)
    assert setting.only_current_lives()
    assert setting.consumed()[0] == "key1"


def reported(setting, **loaded):
    blocks = Blocks()
    blocks._loaded = {"memory-store/x": setting.store, "memory-target/y": setting.target} | loaded
    task = Task("production", setting.now, NORMAL, lambda _: None, blocks)
    return rotate(task, observe(task, setting.secret, closely=False))


def test_a_step_that_failed_is_reported_with_what_was_done_before_it():
    setting = Setting()
    setting.target.fail_next("apply", TemporaryError("The server is away."))
    outcome = reported(setting)
    assert [(c.action, c.outcome) for c in outcome.changes] == [
        ("claim", Outcome.DONE),
        ("stage", Outcome.DONE),
        ("apply", Outcome.FAILED),
    ]
    (finding,) = outcome.findings
    assert (finding.rule, finding.status) == ("rotation-incomplete", Status.ERROR)
    assert finding.message == "`apply` failed: The server is away. It continues at the next run."
    assert [c.action for c in reported(setting).changes] == ["claim", "apply", "promote", "confirm"]


def test_a_login_that_could_not_be_tried_is_no_change():
    setting = Setting()
    setting.target.fail_next("authenticates", TemporaryError("The server is away."))
    outcome = reported(setting)
    assert outcome.changes == ()
    assert [f.rule for f in outcome.findings] == ["target-unchecked"]


def test_a_block_that_is_none_of_its_kind_is_reported():
    setting = Setting()
    outcome = reported(setting, **{"memory-store/x": setting.target})
    assert "is no secret store" in outcome.findings[0].message
    assert outcome.changes == ()


def test_a_secret_of_one_key_is_refused_where_accounts_take_turns():
    setting = Setting()
    setting.secret = setting.secret.model_copy(update={"pair": None, "key": "PASSWORD"})
    with pytest.raises(PermanentError, match="one key"):
        setting.rotate()
