"""The ``vigiles`` command: one module a subcommand, and Prefect imported only by those that need it.

To add a command, give it a module with its function and its ``HELP``, and register it below.
"""

import io
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from flows.cli import check, demo, deploy, publish, run
from flows.cli.exit_codes import ExitCodes

HELP = """Guard a Prefect estate: rotate secrets, verify placement, enforce retention, report RBAC drift.

\b
In this order:
  vigiles check policies      are the policies in order?
  vigiles publish policies    make them blocks of the Prefect server
  vigiles run verify-placement --policy production

\b
Every command ends with:
  0  nothing to report
  1  findings failed
  2  bad input or usage; nothing was touched
  3  something could not be checked or done (wins over 1)
"""

app = typer.Typer(
    cls=ExitCodes,
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("check", help=check.HELP, no_args_is_help=True)(check.check)
app.command("publish", help=publish.HELP, no_args_is_help=True)(publish.publish)
app.command("deploy", help=deploy.HELP)(deploy.deploy)
app.command("demo", help=demo.HELP)(demo.demo)
app.command("run", help=run.HELP, no_args_is_help=True)(run.run)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"vigiles {version('vigiles')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and Prefect's own log.")] = False,
    shown: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take the options that stand before the subcommand."""


def main() -> None:
    """Run the command line; the entry point of ``vigiles``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name that the terminal's encoding lacks is shown with a "?" and ends nothing.
            stream.reconfigure(errors="replace")
    app(prog_name="vigiles")
