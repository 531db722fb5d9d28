"""Proof that the contract suite can fail: stores that are broken in one way each, and the test that notices."""

import json
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from support.memory_store import MemoryStore
from support.stores.memory import MemoryBackend
from support.stores.texts import TextBackend, TextStore
from support.stores.world import World

from rules.errors import PermanentError, VigilesError


def suite(name: str) -> ModuleType:
    spec = spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STEPS = suite("test_secret_store_contract")
TROUBLE = suite("test_secret_store_contract_faults")
PROMOTION = suite("test_secret_store_contract_promotion")
RACES = suite("test_secret_store_contract_races")
VALUES = suite("test_secret_store_contract_values")


class ForgetsTheFence(MemoryStore):
    _block_type_slug = "broken-fence"

    def _write(self, name, address, epoch, change):
        return super()._write(name, address, self._row(address).journal.epoch, change)


class ClaimsBlindly(MemoryStore):
    _block_type_slug = "broken-blind"

    def claim(self, address, seen, journal):
        self._row(address).journal = journal
        return self._state(self._row(address))


class ShowsWhatIsStaged(MemoryStore):
    _block_type_slug = "broken-stage"

    def stage(self, address, journal, username, password):
        super().stage(address, journal, username, password)
        self._row(address).current = self._row(address).pending
        return self._state(self._row(address))


class StagesAnew(MemoryStore):
    _block_type_slug = "broken-restage"

    def stage(self, address, journal, username, password):
        self._row(address).pending = None
        return super().stage(address, journal, username, password)


class LosesThePrevious(MemoryStore):
    _block_type_slug = "broken-promote"

    def promote(self, address, journal, pending, expected_current):
        super().promote(address, journal, pending, expected_current)
        self._row(address).previous = None
        return self._state(self._row(address))


class ConfirmsAnew(MemoryStore):
    _block_type_slug = "broken-confirm"

    def confirm(self, address, journal):
        return self._write("confirm", address, journal.epoch, lambda row: replace(row, pending=None, journal=journal))


class DiscardsAnything(MemoryStore):
    _block_type_slug = "broken-discard"

    def discard(self, address, journal, pending):
        return self._write("discard", address, journal.epoch, lambda row: replace(row, pending=None, journal=journal))


class TellsValues(MemoryStore):
    _block_type_slug = "broken-errors"

    def _translated(self, operation, error):
        return PermanentError(f"{operation}: {error}", "Look.")


class HidesValuesBadly(MemoryStore):
    _block_type_slug = "broken-cause"

    def _call(self, operation, request):
        try:
            return request()
        except VigilesError:
            raise
        except Exception as error:
            raise self._translated(operation, error) from error


class WritesTheSecretTwice(TextStore):
    _block_type_slug = "broken-pair"

    def _save_main(self, address, loaded, text):
        account = json.loads(text)[address.username]
        half = self._with_pair(address, loaded.main, (account, self._read_pair(address, loaded.main)[1]))
        super()._save_main(address, loaded, half)
        super()._save_main(address, self._load(address), text)


class ComparesNothing(TextStore):
    _block_type_slug = "broken-revisions"

    def _write(self, name, text, revision):
        found = self._service.texts.get(name)
        super()._write(name, text, found[0] if found else None)


class LetsPromotionsGoOn(TextStore):
    _block_type_slug = "broken-claim"
    compares_main = False


class StripsValues(TextStore):
    _block_type_slug = "broken-values"

    def _with_pair(self, address, text, pair):
        return super()._with_pair(address, text, (pair[0], pair[1].strip()))


class Reformats(TextStore):
    _block_type_slug = "broken-documents"

    def _with_pair(self, address, text, pair):
        return json.dumps(json.loads(super()._with_pair(address, text, pair)))


def stuck_when_repeated(store_type):
    """Return a store that takes no second promotion for a success."""

    class Stuck(store_type):
        _block_type_slug = f"broken-repeat-{store_type.__name__.lower()}"

        def promote(self, address, journal, pending, expected_current):
            if self.observe(address).current == pending:
                raise PermanentError("It is current.", "Stop.")
            return super().promote(address, journal, pending, expected_current)

    return Stuck


CAUGHT = [
    (ForgetsTheFence, TROUBLE.test_a_superseded_epoch_writes_nothing, {"step": "promote"}),
    (ClaimsBlindly, STEPS.test_a_claim_of_another_epoch_is_refused, {"epoch": 0}),
    (ClaimsBlindly, STEPS.test_a_claim_on_the_ground_of_an_older_journal_is_refused, {}),
    (ShowsWhatIsStaged, STEPS.test_a_staged_version_is_invisible_to_consumers, {}),
    (StagesAnew, STEPS.test_staging_again_keeps_the_pending_version, {}),
    (LosesThePrevious, PROMOTION.test_a_promotion_keeps_the_displaced_version, {}),
    (ConfirmsAnew, PROMOTION.test_confirming_again_keeps_the_first_times, {}),
    (ConfirmsAnew, PROMOTION.test_confirming_what_was_not_promoted_is_refused, {}),
    (DiscardsAnything, PROMOTION.test_discarding_a_promoted_version_is_refused, {}),
    (TellsValues, TROUBLE.test_an_error_that_a_client_fills_with_values_is_told_without_them, {"step": "stage"}),
    (HidesValuesBadly, TROUBLE.test_an_error_that_a_client_fills_with_values_is_told_without_them, {"step": "stage"}),
    (WritesTheSecretTwice, TROUBLE.test_consumers_read_a_whole_pair_before_and_after_every_call, {"step": "promote"}),
    (
        WritesTheSecretTwice,
        TROUBLE.test_a_step_that_met_a_fault_can_be_repeated,
        {"step": "promote", "fault": "throttled"},
    ),
    (ComparesNothing, RACES.test_a_claim_between_the_calls_of_a_write_is_never_undone, {"step": "record"}),
    (ComparesNothing, RACES.test_a_superseded_run_that_reads_only_old_answers_writes_nothing, {"step": "stage"}),
    (ComparesNothing, RACES.test_an_old_answer_is_noticed_or_harmless, {"step": "forget"}),
    (LetsPromotionsGoOn, RACES.test_a_promotion_that_was_overtaken_by_a_claim_and_a_discard_has_no_effect, {}),
    (
        StripsValues,
        VALUES.test_an_awkward_value_reads_back_exactly_or_is_refused_and_nothing_is_touched,
        {"name": "space-around"},
    ),
    (
        Reformats,
        VALUES.test_a_document_keeps_every_byte_outside_of_its_field,
        {"before": '{"n":1.0, "password": "', "after": '"}'},
    ),
    (
        stuck_when_repeated(MemoryStore),
        TROUBLE.test_a_write_that_is_repeated_word_for_word_changes_nothing,
        {"step": "promote"},
    ),
    (
        stuck_when_repeated(TextStore),
        TROUBLE.test_a_step_that_met_a_fault_can_be_repeated,
        {"step": "promote", "fault": "lost_answer"},
    ),
]


def run(store, case, arguments):
    """Run a test of the suite over a backend of this store."""
    backend = TextBackend(store) if issubclass(store, TextStore) else MemoryBackend(store)
    names = case.__code__.co_varnames[: case.__code__.co_argcount]
    worlds = {"world": True, "pair": True, "single": False}
    case(**arguments, **{name: World(backend, pair=worlds[name]) for name in names if name in worlds})


@pytest.mark.parametrize(("store", "case", "arguments"), CAUGHT, ids=lambda value: getattr(value, "__name__", "-"))
def test_a_broken_store_is_caught(store, case, arguments):
    with pytest.raises((AssertionError, pytest.fail.Exception, VigilesError)):
        run(store, case, arguments)


@pytest.mark.parametrize(("store", "case", "arguments"), CAUGHT, ids=lambda value: getattr(value, "__name__", "-"))
def test_an_intact_store_passes_the_same_case(store, case, arguments):
    run(TextStore if issubclass(store, TextStore) else MemoryStore, case, arguments)
