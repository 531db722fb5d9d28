"""One thing wrong with a policy document: where, what, and what to write instead.

No message shows a value of the document: keys and short plain words only, and whatever looks like a secret is hidden.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from blocks.policies.secret_shapes import holds_secret, is_digest, without_secrets

SHOWN_PROBLEMS = 200
"""The most problems that are told of one file."""

VALUE_HIDDEN = "(value hidden)"

_PLAIN = re.compile(r"[A-Za-z_<][A-Za-z0-9_<.-]{0,39}")
_QUOTED = re.compile(r"`([^`]*)`")
# No secret is that short, and selectors have operators and parentheses.
_HARMLESS_LENGTH = 3


class Place(NamedTuple):
    """A line and a column (in characters), both counted from 1."""

    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One line of what ``vigiles check`` says.

    Attributes:
        path: the file.
        line: counted from 1; 1 for what concerns the whole file.
        column: in characters, counted from 1.
        code: stable, such as ``P042``; ``W014`` is the one warning.
        message: what is wrong, in one sentence without its full stop.
        hint: what to write instead; may be empty.
        warning: whether the file is accepted all the same.
    """

    path: Path
    line: int
    column: int
    code: str
    message: str
    hint: str = ""
    warning: bool = False

    def __str__(self) -> str:
        text = f"{printable(str(self.path))}:{self.line}:{self.column}: {self.code} {_sentence(self.message)}"
        return f"{text} {_sentence(self.hint)}" if self.hint else text

    @property
    def order(self) -> tuple[str, int, int, str, str]:
        """What problems are sorted by: their place."""
        return (str(self.path), self.line, self.column, self.code, self.message)


@dataclass(slots=True)
class Problems:
    """The problems of one file while they are being collected.

    Attributes:
        path: the file.
    """

    path: Path
    _found: dict[Problem, None] = field(default_factory=dict)

    def add(self, place: Place, code: str, message: str, hint: str = "", *, warning: bool = False) -> None:
        """Add a problem; the same one twice counts once."""
        clean = (printable(without_secrets(message)), printable(without_secrets(hint)))
        self._found[Problem(self.path, place.line, place.column, code, *clean, warning)] = None

    def __iter__(self) -> Iterator[Problem]:
        """Yield the problems sorted by place; past the first ``SHOWN_PROBLEMS`` only their number."""
        ordered = sorted(self._found, key=lambda problem: problem.order)
        yield from ordered[:SHOWN_PROBLEMS]
        if rest := ordered[SHOWN_PROBLEMS:]:
            yield Problem(self.path, rest[0].line, rest[0].column, "P099", f"{len(rest)} more problems are not shown")

    @property
    def fatal(self) -> bool:
        """Whether there is anything but warnings."""
        return any(not problem.warning for problem in self._found)


def shown(key: object) -> str:
    """Return ``key`` in back quotes if it is short and plain, else ``this key``."""
    return f"`{key}`" if isinstance(key, str) and _is_word(key) else "this key"


def without_values(text: str, blamed: object) -> str:
    """Return what a model says with only short plain words of the document in it; others are hidden.

    Args:
        text: a message or hint, words of the document in back quotes.
        blamed: the value that is to blame, hidden wherever it stands.
    """
    if isinstance(blamed, str) and not _may_be_shown(blamed):
        text = text.replace(f"`{blamed}`", VALUE_HIDDEN).replace(blamed, VALUE_HIDDEN)
    return _QUOTED.sub(lambda found: found[0] if _may_be_shown(found[1]) else VALUE_HIDDEN, text)


def _may_be_shown(text: str) -> bool:
    return len(text) <= _HARMLESS_LENGTH or _is_word(text)


def _is_word(text: str) -> bool:
    """Return whether a text is short, plain and surely no secret: an access key may be 32 digits in hex."""
    parts = re.split(r"[^A-Za-z0-9-]", text)
    return _PLAIN.fullmatch(text) is not None and not holds_secret(text) and not any(map(is_digest, parts))


def printable(text: str) -> str:
    """Return ``text`` on one line, without characters that a terminal would act on."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
