"""What the contract suite of the secret stores asks for: each backend, and a secret in it."""

import pytest
from support.drongo import drongo_server  # noqa: F401 - the servers that entries ask for
from support.moto import moto  # noqa: F401
from support.openbao import openbao  # noqa: F401
from support.stores.catalogue import entries
from support.stores.interface import Backend
from support.stores.world import World


@pytest.fixture(params=entries(), ids=lambda entry: entry.name)
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
