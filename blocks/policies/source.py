"""From a path to YAML nodes: reads the file within its limits, looks at every character, and composes one document.

Nothing is constructed here, so no tag can do anything; depth, aliases and tags are judged from the stream of parser
events, before any node exists.
"""

import os
import re
import stat
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from blocks.policies.problems import Place, Problems
from blocks.policies.secret_shapes import KNOWN, PRIVATE_KEY
from blocks.policies.syntax import add_syntax_problem

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_ALIASES = 100

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The C parser where PyYAML has it: ten times as fast, with the same nodes and places."""

_BREAK = re.compile(r"\r\n|\r|\n")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")
# Marks without a shape that Unicode files under letters and marks: fillers, the blank of Braille, selectors.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800\u180b\u180c\u180d\u034f") | {chr(c) for c in range(0xFE00, 0xFE10)}
_LINE_SEPARATORS = str.maketrans("\u2028\u2029", "  ")


@dataclass(slots=True)
class Source:
    """The text of a file, and what is known of its characters.

    Attributes:
        text: the decoded text, without a byte-order mark.
        reported: the lines on which a character or a secret has been reported already.
    """

    text: str
    reported: set[int] = field(default_factory=set)
    _starts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._starts = [0, *(match.end() for match in _BREAK.finditer(self.text))]

    def place(self, offset: int) -> Place:
        """Return the place of the character at ``offset``."""
        line = bisect_right(self._starts, offset)
        return Place(line, offset - self._starts[line - 1] + 1)

    def line(self, number: int) -> str:
        """Return the text of a line, counted from 1; empty past the end."""
        if number > len(self._starts):
            return ""
        end = self._starts[number] if number < len(self._starts) else len(self.text)
        return self.text[self._starts[number - 1] : end].rstrip("\r\n")


@dataclass(frozen=True, slots=True)
class Composed:
    """One document as nodes.

    Attributes:
        source: its text.
        root: its node.
        tagged: line and column (from 0) of every node with a tag, all reported already.
    """

    source: Source
    root: yaml.Node
    tagged: frozenset[tuple[int, int]]


def read_source(path: Path, problems: Problems) -> Source | None:
    """Return the text of a policy file, or None after telling ``problems`` why not."""
    content = _read_bytes(path, problems)
    if content is None:
        return None
    if content.startswith(b"\xef\xbb\xbf"):
        problems.add(Place(), "W014", "the file begins with a byte-order mark", "Save it as plain UTF-8.", warning=True)
        content = content[3:]
    try:
        source = Source(content.decode())
    except UnicodeDecodeError as error:
        before = content[: error.start].decode()
        place = Source(before).place(len(before))
        problems.add(place, "P014", f"the file is not UTF-8 (byte {error.start})", "Save it as UTF-8.")
        return None
    return source if _characters(source, problems) else None


def compose(source: Source, problems: Problems) -> Composed | None:
    """Return the first document of ``source`` as nodes, or None after telling ``problems`` why not."""
    try:
        tagged = _events(source, problems)
        if tagged is None:
            return None
        root = _first_document(source.text)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        add_syntax_problem(error, source.line, problems)
        return None
    if root is None:
        problems.add(Place(), "P010", "the policy is empty", "Begin with `kind`, `version` and `name`.")
        return None
    return Composed(source, root, tagged)


def _first_document(text: str) -> yaml.Node | None:
    loader = Loader(text)
    try:
        return loader.get_node() if loader.check_node() else None
    finally:
        loader.dispose()


def is_invisible(character: str) -> bool:
    """Return whether a reader cannot see ``character``, or sees a plain space that is none."""
    if character in " \t\n\r":
        return False
    return unicodedata.category(character) in ("Cf", "Zl", "Zp", "Zs", "Co", "Cs") or character in _BLANK


def _read_bytes(path: Path, problems: Problems) -> bytes | None:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            problems.add(Place(), "P002", "this is not a regular file", "Give a YAML file, or a folder of them.")
            return None
        # Not blocking, should a pipe have taken the file's place since.
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        problems.add(Place(), "P001", "cannot read the policy: no such file", "Check the path.")
    except PermissionError:
        problems.add(Place(), "P003", "permission denied", "Let the user who runs this read the file.")
    except (OSError, ValueError) as error:
        reason = (os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "not a path").lower()
        problems.add(Place(), "P001", f"cannot read the policy: {reason}")
    else:
        if len(content) <= MAX_BYTES:
            return content
        problems.add(Place(), "P020", "the file is over 1 MiB", "Split the policy into several, one a file.")
    return None


def _characters(source: Source, problems: Problems) -> bool:
    """Report what should not be in any text; return whether it can be parsed."""
    control = _CONTROL.search(source.text)
    if control is not None:
        place, code = source.place(control.start()), ord(control[0])
        problems.add(place, "P014", f"control character U+{code:04X} at offset {control.start()}", "Remove it.")
    if not source.text.isascii():
        for offset, character in enumerate(source.text):
            if is_invisible(character):
                _at(source, offset, problems, "P032", f"invisible character U+{ord(character):04X}", "Remove it.")
    for match in PRIVATE_KEY.finditer(source.text):
        hint = "Rotate it: whoever can read this file has it."
        _at(source, match.start(), problems, "P082", "private key in the policy (value hidden)", hint)
    for match in KNOWN.finditer(source.text):
        hint = "Keep it in a secret store, name it here by its reference, and rotate it."
        _at(source, match.start(), problems, "P080", "looks like a secret (value hidden)", hint)
    source.text = source.text.translate(_LINE_SEPARATORS)
    return control is None


def _at(source: Source, offset: int, problems: Problems, code: str, message: str, hint: str) -> None:
    place = source.place(offset)
    source.reported.add(place.line)
    problems.add(place, code, message, hint)


def _events(source: Source, problems: Problems) -> frozenset[tuple[int, int]] | None:
    """Return where tags stand, or None if the document is too deep or too entangled to look at."""
    depth = aliases = documents = 0
    tagged = set()
    for event in yaml.parse(source.text, Loader):
        mark: Any = event.start_mark
        place = Place(mark.line + 1, mark.column + 1)
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                problems.add(place, "P012", "one document per file", "Move what follows this line to its own file.")
        elif isinstance(event, (yaml.CollectionStartEvent, yaml.ScalarEvent)) and event.tag is not None:
            tagged.add((mark.line, mark.column))
            problems.add(place, "P015", "tags are not allowed", "Remove the word that begins with `!`.")
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
            if aliases > MAX_ALIASES:
                problems.add(place, "P018", f"too many aliases (the limit is {MAX_ALIASES})", "Write the values out.")
                return None
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            problems.add(place, "P019", f"nesting over {MAX_DEPTH} levels", "No policy needs that many.")
            return None
    return frozenset(tagged)
