"""``vigiles demo``: the four flows at work on an estate of their own."""

from typing import Annotated

import typer

from flows.cli.console import say

HELP = """Show the four flows at work on a small but real estate of their own; nothing of yours is touched.

It starts a Prefect server on a free loopback port with its own home, and a PostgreSQL server where there is one to
start; builds work pools, a worker, deployments of which some break their constraints, flow runs with persisted
results, and a secrets file; publishes the example policies; runs all four flows in audit mode and then in enforce
mode; and prints what each found, changed and could not check. It takes about a minute.

\b
Examples:
  vigiles demo
  vigiles demo --keep        leave the server up, to read the reports in its UI

\b
Ends with:
  0  the demo ran (that it finds failures is its purpose)
  3  something did not start
"""


def demo(*, keep: Annotated[bool, typer.Option("--keep", help="Leave the servers up afterwards.")] = False) -> None:
    """Show everything once."""
    from flows.demo.showing import show

    show(say, keep=keep)
