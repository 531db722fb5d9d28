"""Loading the blocks that other blocks and policies name."""

from typing import TypeVar

import httpx
from prefect.blocks.core import Block
from prefect.exceptions import PrefectException

from rules.errors import PermanentError, TemporaryError, VigilesError

_B = TypeVar("_B", bound=Block)


def load_block(slug: str, kind: type[_B], advice: str) -> _B:
    """Return the block of that slug.

    Args:
        slug: such as ``secret/warehouse-admin``.
        kind: what it has to be.
        advice: what to do where it is missing, cannot be read or is something else.

    Raises:
        TemporaryError: if Prefect's server does not answer.
        PermanentError: if there is no such block, or it is of another kind.
    """
    failure: VigilesError
    try:
        block = Block.load(slug)
    except (ValueError, KeyError, RuntimeError) as error:
        failure = PermanentError(f"Block {slug} cannot be loaded ({type(error).__name__}).", advice)
    except (PrefectException, httpx.HTTPError, OSError) as error:
        way = "Check that Prefect's server runs and can be reached."
        failure = TemporaryError(f"Block {slug} cannot be loaded now ({type(error).__name__}).", way)
    else:
        if isinstance(block, kind):
            return block
        failure = PermanentError(f"Block {slug} is no {kind.__name__}.", advice)
    # Outside of `except`: the cause may hold the block's fields.
    raise failure
