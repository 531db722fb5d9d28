"""Every fault at every remote call of a rotation, over each store's simulator and each kind of target.

Here each world that a fault can leave behind is played once; ``make proof`` plays every scenario, on real servers too.
The floors are the numbers that were played when this was written: a matrix that shrinks has to say so here.
"""

import pytest
from support.fault_matrix import FAULTS, KINDS, PLOTS, different_worlds, run_cell
from support.matrix_backends import IN_PROCESS, backends, entry_named

# By store, for each kind in the order of KINDS.
FLOORS = {
    "memory": (55, 55, 63, 34),
    "env-file": (87, 87, 99, 56),
    "prefect-secret": (124, 124, 140, 79),
    "vault-kv": (125, 125, 139, 79),
    "aws-secrets-manager": (68, 68, 79, 39),
    "aws-parameter-store": (173, 173, 198, 104),
    "azure-key-vault": (192, 192, 213, 115),
    "gcp-secret-manager": (295, 295, 326, 170),
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
OTHER_PLOTS = {"late run": (98, 98, 117, 66), "emergency": (101, 101, 119, 70), "roll-back": (83, 83, 91, 38)}
QUICK_STORES = ("memory", "aws-secrets-manager")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("plot", OTHER_PLOTS)
@pytest.mark.parametrize("store", QUICK_STORES)
def test_no_fault_breaks_late_runs_emergencies_and_roll_backs(store, plot, kind, tmp_path):
    cell = run_cell(backends(entry_named(IN_PROCESS[store]), tmp_path), kind, different_worlds, plot=plot)
    assert not cell.failures, str(cell)
    assert cell.total >= OTHER_PLOTS[plot][KINDS.index(kind)], f"{plot} x {kind}: {cell.total} scenarios"


def test_every_plot_is_played():
    assert {"rotation", *OTHER_PLOTS} == set(PLOTS)
