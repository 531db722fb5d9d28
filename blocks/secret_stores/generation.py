"""New values: enough randomness, and nothing that any reader could take for something else."""

import secrets
import string

from pydantic import SecretStr

SHORTEST = 22
"""The fewest characters that hold 128 bits: 22 of 62 letters and digits hold 131, the first, a letter, a bit less."""

_LETTERS = string.ascii_letters
_ALPHABET = _LETTERS + string.digits


def generate_password(length: int = 32) -> SecretStr:
    """Return a new value of letters and digits that begins with a letter.

    So no shell, URL, connection string or dotenv file needs quotes around it, and no reader decodes it as JSON:
    Prefect's ``Secret.get`` would turn ``12345`` into a number.

    Args:
        length: characters, at least 22.

    Raises:
        ValueError: if it is shorter than that.
    """
    if length < SHORTEST:
        raise ValueError(f"a generated value has at least {SHORTEST} characters")
    return SecretStr(secrets.choice(_LETTERS) + "".join(secrets.choice(_ALPHABET) for _ in range(length - 1)))
