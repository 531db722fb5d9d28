"""What every access directory is: a block that shows who may do what. Its errors, and how one is loaded by its slug."""

from abc import ABC, abstractmethod

from prefect.blocks.core import Block

from rules.access import Access
from rules.errors import BadInputError


class AccessDirectory(Block, ABC):
    """Something that can tell who may do what.

    A directory observes and changes nothing. What it cannot see is part of its answer, with the reason, and never an
    exception: one closed door must not hide the rest.
    """

    @abstractmethod
    def observe(self) -> Access:
        """Return what the directory shows; it holds no secret."""


def load_directory(slug: str) -> AccessDirectory:
    """Return the saved directory that a policy names.

    Args:
        slug: block type and name, such as ``prefect-server-directory/self-hosted``.

    Raises:
        BadInputError: if there is no such block, or it is no access directory.
    """
    try:
        block = Block.load(slug)
    except (ValueError, KeyError, RuntimeError) as error:
        # The cause may show the fields of the block.
        message = f"The directory {slug} could not be loaded ({type(error).__name__})."
        raise BadInputError(message, "Save it first, or correct `directory` in the policy.") from None
    if not isinstance(block, AccessDirectory):
        raise BadInputError(f"The block {slug} is no access directory.", "Correct `directory` in the policy.")
    return block
