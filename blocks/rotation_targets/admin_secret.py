"""The password of the account that changes others, kept in a Secret block of Prefect."""

from typing import Annotated

from prefect.blocks.system import Secret
from pydantic import AfterValidator, SecretStr

from blocks.block_loading import load_block
from blocks.policies.interface import policy_error
from rules.errors import PermanentError


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
        TemporaryError: if Prefect's server does not answer.
        PermanentError: if there is no such block, or it holds no text.
    """
    advice = "Save the password as a Secret block of that name, as text."
    value = load_block(slug, Secret, advice).value.get_secret_value()
    if not isinstance(value, str) or not value:
        raise PermanentError(f"Block {slug} does not hold a text.", advice)
    return SecretStr(value)
