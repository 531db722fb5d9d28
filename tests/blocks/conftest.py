"""What the contract suite of the secret stores asks for: each backend, and a secret in it."""

import os

import pytest
from support.drongo import drongo_server  # noqa: F401 - the servers that entries ask for
from support.moto import moto  # noqa: F401
from support.openbao import openbao  # noqa: F401
from support.stores.catalogue import Entry, entries
from support.stores.interface import Backend
from support.stores.world import World

HEART = {"test_secret_store_contract", "test_secret_store_contract_promotion"}
"""Where the whole of a rotation is walked through; the rest are faults, races and odd values, by the thousand."""


def pytest_generate_tests(metafunc) -> None:
    """Run the heart of the suite over every store, and the rest over those that are quick, unless all is wanted."""
    module = metafunc.module.__name__.rsplit(".", 1)[-1]
    if "backend" in metafunc.fixturenames and module.startswith("test_secret_store_contract"):
        whole = module in HEART or os.environ.get("VIGILES_PROOF")
        chosen = [_parameter(entry) for entry in entries() if whole or not entry.slow]
        metafunc.parametrize("backend", chosen, indirect=True)


def _parameter(entry: Entry) -> object:
    """Measure coverage over the quick entries only: the others go through the same code."""
    return pytest.param(entry, id=entry.name, marks=[pytest.mark.unmeasured] if entry.slow else [])


@pytest.fixture
def backend(request, tmp_path) -> Backend:
    """Each store's service, empty."""
    return request.param.make(tmp_path, *(request.getfixturevalue(name) for name in request.param.fixtures))


@pytest.fixture(params=[False, True], ids=["value", "pair"])
def world(request, backend) -> World:
    """A secret that is a value alone, and one that is a pair of account and value."""
    return World(backend, pair=request.param)


@pytest.fixture
def pair(backend) -> World:
    """A secret that is a pair, where one form is enough."""
    return World(backend, pair=True)


@pytest.fixture
def single(backend) -> World:
    """A secret that is a value alone."""
    return World(backend, pair=False)
