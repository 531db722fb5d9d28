"""Loading the stores and targets that a policy names, by slug, inside the task that uses them."""

import threading

from prefect.blocks.core import Block

import blocks as registered
from blocks.block_loading import load_block
from blocks.rotation_targets.interface import RotationTarget
from blocks.secret_stores.interface import SecretStore
from rules.errors import PermanentError, VigilesError

REGISTERED = registered.__all__
"""Importing the package is what lets Prefect find the classes that slugs name."""


class Blocks:
    """The blocks of one task, each loaded once, whichever thread asks first."""

    def __init__(self) -> None:
        self._loaded: dict[str, Block | VigilesError] = {}
        self._lock = threading.Lock()

    def store(self, slug: str) -> SecretStore:
        """Return the store of that slug.

        Raises:
            TemporaryError: if Prefect's server does not answer.
            PermanentError: if there is none, or it is no store.
        """
        block = self._load(slug)
        if not isinstance(block, SecretStore):
            raise PermanentError(f"Block {slug} is no secret store.", "Correct the policy.")
        return block

    def target(self, slug: str) -> RotationTarget:
        """Return the target of that slug.

        Raises:
            TemporaryError: if Prefect's server does not answer.
            PermanentError: if there is none, or it is no target.
        """
        block = self._load(slug)
        if not isinstance(block, RotationTarget):
            raise PermanentError(f"Block {slug} is no rotation target.", "Correct the policy.")
        return block

    def _load(self, slug: str) -> Block:
        with self._lock:
            if slug not in self._loaded:
                try:
                    self._loaded[slug] = load_block(slug, Block, "Create it in the UI, or correct the policy.")
                except VigilesError as error:
                    # A block that cannot be loaded is not asked for again for each of its secrets.
                    self._loaded[slug] = error
            found = self._loaded[slug]
        if isinstance(found, VigilesError):
            raise found
        return found
