"""What the command writes: plain lines, colours on a terminal only, nothing that a terminal would act on."""

import os
import sys

import typer


def say(text: str = "", *, colour: str = "", bold: bool = False) -> None:
    """Write lines to standard output.

    Args:
        text: the lines; control characters in it are shown as ``?``.
        colour: name of a colour, used on a terminal unless ``NO_COLOR`` is set.
        bold: whether they stand out on a terminal.
    """
    clean = harmless(text)
    plain = bool(os.environ.get("NO_COLOR")) or not (colour or bold)
    try:
        typer.echo(clean if plain else typer.style(clean, fg=colour or None, bold=bold))
    except BrokenPipeError:
        # Whoever read the output left; the work goes on, and the interpreter must not try to flush it when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(text: str, *, lines: bool = False) -> None:
    """Write to standard error: one line, or several if they are meant."""
    typer.echo(harmless(text.rstrip()) if lines else " ".join(harmless(text).split()), err=True)


def harmless(text: str) -> str:
    """Return ``text`` with its control and invisible characters replaced, line breaks excepted."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
