"""Every fault at every remote call of a rotation, over each store's simulator and each kind of target.

Here each world that a fault can leave behind is played once; ``make proof`` plays every scenario, on real servers too.
The floors are the numbers that were played when this was written: a matrix that shrinks has to say so here.
"""

import pytest
from support.fault_matrix import FAULTS, KINDS, PLOTS, different_worlds, run_cell
from support.matrix_backends import IN_PROCESS, backends, entry_named

# Measuring coverage here would double the time, and the tests of each store and rule measure the same code.
pytestmark = pytest.mark.unmeasured

# By store, for each kind in the order of KINDS.
FLOORS = {
    "memory": (61, 61, 69, 34),
    "env-file": (99, 99, 111, 60),
    "prefect-secret": (141, 141, 157, 84),
    "vault-kv": (143, 143, 157, 85),
    "aws-secrets-manager": (74, 74, 85, 39),
    "aws-parameter-store": (199, 199, 224, 112),
    "azure-key-vault": (215, 215, 236, 122),
    "gcp-secret-manager": (337, 337, 368, 184),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("store", IN_PROCESS)
def test_no_fault_at_any_call_breaks_an_invariant(store, kind, tmp_path):
    cell = run_cell(backends(entry_named(IN_PROCESS[store]), tmp_path), kind, different_worlds)
    assert not cell.failures, str(cell)
    assert cell.total >= FLOORS[store][KINDS.index(kind)], f"{store} x {kind}: {cell.total} scenarios"
    assert set(cell.scenarios) == set(FAULTS)


# By plot, the scenarios over memory; other stores have some more calls.
OTHER_PLOTS = {"late run": (110, 110, 129, 66), "emergency": (113, 113, 131, 70), "roll-back": (89, 89, 97, 38)}
STALE_READS = {"late run": (86, 86, 96, 48), "emergency": (84, 84, 95, 51), "roll-back": (73, 73, 77, 23)}
QUICK_STORES = ("memory", "aws-secrets-manager")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("plot", OTHER_PLOTS)
@pytest.mark.parametrize("store", QUICK_STORES)
def test_no_fault_breaks_late_runs_emergencies_and_roll_backs(store, plot, kind, tmp_path):
    cell = run_cell(backends(entry_named(IN_PROCESS[store]), tmp_path), kind, different_worlds, plot=plot)
    assert not cell.failures, str(cell)
    assert cell.total >= OTHER_PLOTS[plot][KINDS.index(kind)], f"{plot} x {kind}: {cell.total} scenarios"


def only_stale_reads(points):
    return [point for point in points if point.fault == "stale-read"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("plot", OTHER_PLOTS)
def test_no_stale_read_of_a_store_without_compare_and_set_breaks_them(plot, kind, tmp_path):
    entry = entry_named(IN_PROCESS["aws-parameter-store"])
    cell = run_cell(backends(entry, tmp_path), kind, only_stale_reads, plot=plot)
    assert not cell.failures, str(cell)
    assert cell.total >= STALE_READS[plot][KINDS.index(kind)], f"{plot} x {kind}: {cell.total} scenarios"


@pytest.mark.parametrize("kind", sorted({*KINDS} - {"single-slot"}))  # which has no two calls of its target in a row
def test_no_fault_breaks_a_rotation_whose_target_is_so_slow_that_the_epoch_is_read_again(kind, tmp_path):
    entry = entry_named(IN_PROCESS["memory"])
    quick = run_cell(backends(entry, tmp_path / "quick"), kind, lambda _: [])
    cell = run_cell(backends(entry, tmp_path / "slow"), kind, different_worlds, target_seconds=6.0)
    assert not cell.failures, str(cell)
    assert cell.calls > quick.calls


def test_every_plot_is_played():
    assert {"rotation", *OTHER_PLOTS} == set(PLOTS)
