"""The password of the account that changes others, kept in a Secret block of Prefect."""

from typing import Annotated

from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from pydantic import AfterValidator, SecretStr

from blocks.policies.interface import policy_error
from rules.errors import PermanentError, VigilesError


def _slug(slug: str) -> str:
    if not slug.startswith("secret/") or slug == "secret/":
        raise policy_error("P077", "the admin password is named as secret/NAME", "Save it as a Secret block first.")
    return slug


AdminSecret = Annotated[str, AfterValidator(_slug)]
"""The slug of such a block."""


def load_password(slug: str) -> SecretStr:
    """Return the text of a Prefect Secret block as it is: ``Secret.get`` would decode ``12345`` as a number.

    Args:
        slug: such as ``secret/warehouse-admin``.

    Raises:
        PermanentError: if there is no such block, or it holds no text.
    """
    failure: VigilesError
    try:
        block = Block.load(slug)
    except ValueError:
        failure = PermanentError(f"There is no block {slug}.", "Save the password as a Secret block of that name.")
    else:
        value = block.value.get_secret_value() if isinstance(block, Secret) else None
        if isinstance(value, str) and value:
            return SecretStr(value)
        failure = PermanentError(f"Block {slug} does not hold a text.", "Save the password as a Secret block of text.")
    # Outside of `except`: the cause may hold the block's content.
    raise failure
