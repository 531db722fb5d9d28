"""How the command ends: 0 nothing to report, 1 findings failed, 2 bad input, 3 could not check or do.

Every error leaves by one door, here, so that no traceback reaches a user who made a mistake.
"""

import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from flows.cli.console import complain
from rules.errors import BadInputError, TemporaryError, VigilesError

BAD_INPUT = 2
COULD_NOT = 3


class ExitCodes(TyperGroup):
    """The command group that turns errors into one clear line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand.

        Args:
            ctx: the context of the command line.

        Returns:
            What the subcommand returns.

        Raises:
            typer.Exit: with the exit code that the error calls for.
        """
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, typer.Abort):
            complain("Interrupted. What was done until then stays done; look at the run in the Prefect UI.")
        except Exception as error:
            if hasattr(error, "exit_code"):
                raise
            raise typer.Exit(_told(error, debug=bool(ctx.params.get("debug")))) from None
        raise typer.Exit(COULD_NOT)


def _told(error: Exception, *, debug: bool) -> int:
    """Say what went wrong and return the exit code."""
    if debug:
        complain("".join(traceback.format_exception(error)), lines=True)
    if isinstance(error, VigilesError):
        lead = "Try again later: " if isinstance(error, TemporaryError) else ""
        gap = "\n" if "\n" in error.message else " "
        complain(f"{lead}{error.message}{gap}{error.advice}", lines=True)
        return BAD_INPUT if isinstance(error, BadInputError) else COULD_NOT
    # The text of an unexpected error may hold anything, a secret too.
    complain(
        f"Something unexpected happened ({type(error).__name__}). "
        "Run again as `vigiles --debug ...` to see the traceback; mind that it may show values."
    )
    return COULD_NOT
