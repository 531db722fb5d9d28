"""A slice of the fault matrix over what is nearest to each service: real servers where there are any.

Every tenth scenario, chosen once and for all; ``make proof`` plays all of them, for all four kinds of target, and
over a real Prefect server too, which takes a quarter of an hour for it.
"""

import pytest
from support.drongo import drongo_server  # noqa: F401 - the servers that entries ask for
from support.fault_matrix import every, run_cell
from support.matrix_backends import SERVED, backends, entry_named
from support.moto import moto  # noqa: F401
from support.openbao import openbao  # noqa: F401

pytestmark = [pytest.mark.server, pytest.mark.unmeasured, pytest.mark.timeout(900)]

OTHER_KIND = {
    "env-file": "single-slot",
    "vault-kv": "single-slot",
    "aws-secrets-manager": "mint",
    "aws-parameter-store": "dual",
    "azure-key-vault": "mint",
    "gcp-secret-manager": "dual",
}
CELLS = [(store, kind) for store, other in OTHER_KIND.items() for kind in ("alternating", other)]
FLOORS = {
    "env-file": (15, 10),
    "vault-kv": (20, 12),
    "aws-secrets-manager": (11, 12),
    "aws-parameter-store": (22, 22),
    "azure-key-vault": (32, 36),
    "gcp-secret-manager": (46, 46),
}


@pytest.mark.parametrize(("store", "kind"), CELLS)
def test_no_fault_breaks_an_invariant_where_the_service_is_real(store, kind, tmp_path, request):
    entry = entry_named(SERVED[store])
    servers = tuple(request.getfixturevalue(name) for name in entry.fixtures)
    cell = run_cell(backends(entry, tmp_path, servers), kind, every(10, seed=CELLS.index((store, kind))))
    assert not cell.failures, str(cell)
    assert cell.total >= FLOORS[store][kind != "alternating"], f"{store} x {kind}: {cell.total} scenarios"
