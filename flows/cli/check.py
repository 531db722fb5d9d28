"""``vigiles check``: are the policies in order? Talks to no server."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.console import complain, say
from flows.cli.exit_codes import BAD_INPUT
from flows.cli.server import require_settings

HELP = """Check policy files; talks to no server and changes nothing.

Every problem of every file is told at once, one a line, as FILE:LINE:COL: CODE message. Hint. A folder means its
*.yaml and *.yml files. Values are never shown, so that a secret pasted by mistake does not end in a log.

\b
Examples:
  vigiles check policies
  vigiles check policies/placement.yaml policies/rotation.yaml

\b
Ends with:
  0  every policy is in order (warnings may be shown)
  2  something is wrong
"""

Paths = Annotated[
    list[Path], typer.Argument(metavar="PATH", help="Policy files, and folders of them.", show_default=False)
]


def check(paths: Paths) -> None:
    """Tell every problem of every policy."""
    require_settings()
    from blocks.policies.loader import load_policies

    loaded = load_policies(paths)
    for problem in loaded.problems:
        say(str(problem), colour="yellow" if problem.warning else "red")
    if loaded.errors:
        files = len({problem.path for problem in loaded.errors})
        complain(f"{_count(len(loaded.errors), 'problem')} in {_count(files, 'file')}.")
        raise typer.Exit(BAD_INPUT)
    for entry in loaded.policies:
        say(f"{entry.path}: {type(entry.policy).__name__} {entry.policy.name} is in order")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
