"""How Vigiles' blocks present themselves in the Prefect UI."""

from prefect.blocks.system import Secret

DOCUMENTATION_URL = "https://docs.prefect.io/v3/concepts/blocks"
"""Where the UI sends a reader who asks what a block is."""

LOGO_URL = Secret._logo_url  # noqa: SLF001 - Prefect's own icon of a secret; without one its second UI shows a broken image
"""The icon beside a block."""
