"""Engines that are broken on purpose are caught by the fault matrix, each by the invariant that it breaks."""

from itertools import repeat

import pytest
from support import rotation_mutants
from support.fault_matrix import run_cell
from support.stores.memory import MemoryBackend

pytestmark = pytest.mark.unmeasured

CAUGHT_BY = {
    "promote-before-verify": ("alternating", {"I1", "I5"}),
    "retire-before-promote": ("alternating", {"I1", "I5"}),
    "delete-oldest-at-the-cap": ("mint", {"I1", "I5"}),
    "apply-before-stage": ("single-slot", {"I1", "I3", "I5"}),
    "forget-without-proof": ("dual", {"I5"}),
    "never-claim": ("dual", {"I4"}),
    "no-grace": ("alternating", {"I1", "I5"}),
    "mint-without-intent": ("mint", {"I2", "I3"}),
    "drop-what-is-staged": ("single-slot", {"I1", "I3"}),
    "verify-another-version": ("alternating", {"I1", "I5"}),
    "confirm-without-reading-back": ("mint", {"I5"}),
    "forget-when-it-was": ("alternating", {"I2", "I7"}),
    "act-without-the-lease": ("single-slot", {"I4"}),
    "log-the-value": ("dual", {"I6"}),
}


def memories():
    return (MemoryBackend() for _ in repeat(None))


def invariants(cell):
    return {violation.invariant for _, found in cell.failures for violation in found}


@pytest.mark.parametrize("mutant", rotation_mutants.NAMES)
def test_a_broken_engine_breaks_the_invariants_that_it_should(mutant, monkeypatch):
    kind, expected = CAUGHT_BY[mutant]
    rotation_mutants.install(mutant, monkeypatch.setattr)
    assert expected <= invariants(run_cell(memories(), kind))


@pytest.mark.parametrize("kind", sorted({kind for kind, _ in CAUGHT_BY.values()}))
def test_the_whole_engine_breaks_none(kind):
    assert invariants(run_cell(memories(), kind)) == set()
