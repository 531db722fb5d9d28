"""What a single YAML scalar may be: text, true, false or a plain whole number. Pure: a value, or why it is refused.

YAML 1.1 turns ``no``, ``0123``, ``12:30:45``, ``1.0`` and ``2027-03-31`` into other things than a reader sees; each is
refused and named, so that the writer quotes it.
"""

import re
from typing import NamedTuple

import yaml

from blocks.policies.problems import shown
from blocks.policies.secret_shapes import holds_secret, names_secret
from blocks.policies.source import is_invisible


class Refusal(NamedTuple):
    """Why something is refused: the arguments of a problem after its place."""

    code: str
    message: str
    hint: str


SECRET = Refusal(
    "P080",
    "looks like a secret (value hidden)",
    "Keep it in a secret store, name it here by its reference, and rotate it.",
)

_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_TEXT = frozenset({"str", "value", "merge"})


def read_scalar(node: yaml.ScalarNode, key: str | None) -> str | int | Refusal:
    """Return the value of a scalar, or why it is refused.

    Args:
        node: the scalar.
        key: the key it stands under, if that key could say that it is a secret; None for items of lists.
    """
    kind, text = node.tag.removeprefix(_TAG), str(node.value)
    if kind == "null":
        subject = shown(key) if key else "this item"
        return Refusal("P031", f"{subject} has no value", "Give it one, or remove it.")
    if kind == "bool" and text in ("true", "false"):
        return text == "true"
    if key is not None and names_secret(key, text):
        return SECRET
    if kind in _TEXT:
        return _odd_character(text) or (SECRET if holds_secret(text) else text)
    if kind == "int" and _INTEGER.fullmatch(text):
        return int(text)
    return Refusal("P030", *_disguised(kind, text))


def read_key(node: yaml.Node) -> str | Refusal:
    """Return the key that a node is, or why it is refused."""
    if not isinstance(node, yaml.ScalarNode):
        return Refusal("P021", "keys must be strings", "Write a plain word before the colon.")
    kind, key = node.tag.removeprefix(_TAG), str(node.value)
    if kind == "merge":
        return Refusal("P017", "merge keys (`<<`) are not allowed", "Write the keys out.")
    if kind not in _TEXT or not key:
        return Refusal("P021", "keys must be strings", f"Quote the key, for example {_quoted(key)}.")
    return _odd_key(key) or (SECRET if holds_secret(key) else key)


def _odd_key(key: str) -> Refusal | None:
    foreign = next((c for c in key if not c.isascii()), None)
    if foreign is not None:
        what = "invisible character" if is_invisible(foreign) else "non-ASCII key with the character"
        return Refusal("P032", f"{what} U+{ord(foreign):04X}", "Write keys in plain letters.")
    return None if key.isprintable() else Refusal("P014", "a key holds a control character", "Remove it.")


def _odd_character(text: str) -> Refusal | None:
    for character in text:
        code = f"U+{ord(character):04X}"
        if "\ud800" <= character <= "\udfff" or (character < " " and character not in "\t\n") or character == "\x7f":
            return Refusal("P014", f"an escape names the character {code}", "Remove it.")
        if is_invisible(character):
            return Refusal("P032", f"invisible character {code}", "Remove it.")
    return None


def _quoted(key: str) -> str:
    """Return a key that YAML reads as another type, quoted, if it is one of the few words that cannot be secret."""
    known = re.fullmatch(r"(?i)yes|no|on|off|true|false|null|~|[0-9]{1,4}", key)
    return f'"{key}"' if known else '"key"'


def _disguised(kind: str, text: str) -> tuple[str, str]:
    """Return message and hint for a value that YAML reads as something that a reader does not."""
    if kind == "bool":
        return (f"`{text}` is a YAML boolean", f'Write true or false, or quote it: "{text}".')
    if kind == "timestamp":
        return ("this is a YAML date", 'Quote it, for example "2027-03-31".')
    if ":" in text:
        return ("this is a sexagesimal number in YAML", 'Quote it, for example "12:30:45".')
    if kind == "float":
        return ("floats are not allowed", "Write a whole number, or quote it.")
    if re.fullmatch(r"[-+]?0[0-7_]+", text):
        return ("this is an octal number in YAML", 'Quote it, for example "0123".')
    return ("this is no plain whole number", "Write decimal digits only (18 at most), or quote it.")
