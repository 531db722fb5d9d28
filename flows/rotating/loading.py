"""Loading the stores and targets that a policy names, by slug, inside the task that uses them."""

import httpx
from prefect.blocks.core import Block
from prefect.exceptions import PrefectException

from blocks.rotation_targets.interface import RotationTarget
from blocks.rotation_targets.postgres_role import PostgresRole
from blocks.secret_stores.env_file import EnvFileStore
from blocks.secret_stores.interface import SecretStore
from rules.errors import PermanentError, TemporaryError, VigilesError

KNOWN = (EnvFileStore, PostgresRole)
"""Blocks whose classes have to be imported before a slug of theirs can be loaded."""


class Blocks:
    """The blocks of one task, each loaded once."""

    def __init__(self) -> None:
        self._loaded: dict[str, Block] = {}

    def store(self, slug: str) -> SecretStore:
        """Return the store of that slug.

        Raises:
            PermanentError: if there is none, or it is no store.
        """
        block = self._load(slug)
        if not isinstance(block, SecretStore):
            raise PermanentError(f"Block {slug} is no secret store.", "Correct the policy.")
        return block

    def target(self, slug: str) -> RotationTarget:
        """Return the target of that slug.

        Raises:
            PermanentError: if there is none, or it is no target.
        """
        block = self._load(slug)
        if not isinstance(block, RotationTarget):
            raise PermanentError(f"Block {slug} is no rotation target.", "Correct the policy.")
        return block

    def _load(self, slug: str) -> Block:
        if slug not in self._loaded:
            self._loaded[slug] = _load(slug)
        return self._loaded[slug]


def _load(slug: str) -> Block:
    failure: VigilesError
    try:
        block = Block.load(slug)
    except (ValueError, KeyError, RuntimeError) as error:
        advice = "Create it in the UI, or correct the policy."
        failure = PermanentError(f"Block {slug} cannot be loaded ({type(error).__name__}).", advice)
    except (PrefectException, httpx.HTTPError, OSError) as error:
        advice = "Check that Prefect's server runs and can be reached."
        failure = TemporaryError(f"Block {slug} cannot be loaded now ({type(error).__name__}).", advice)
    else:
        assert isinstance(block, Block)
        return block
    # Outside of `except`: the cause may hold the block's fields.
    raise failure
