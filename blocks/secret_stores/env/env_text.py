"""The text of a .env file: reading one value, and replacing it so that every other byte stays. Pure."""

import io
import re
from collections.abc import Iterator, Mapping

from dotenv.parser import Binding, parse_stream

from rules.errors import PermanentError

_PLAIN = re.compile(r"[A-Za-z0-9_.,:/@%+=-]+")
_SPACE = r"[^\S\r\n]"
# The two quoted forms as python-dotenv reads them: a backslash always takes the next character with it.
_QUOTED = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""", re.DOTALL)
_BOM = "\ufeff"


def read_value(text: str, key: str) -> str | None:
    """Return the value that a reader of the file sees for ``key``, or None where it is missing or empty.

    Raises:
        PermanentError: if the file sets the key twice, or in a line that cannot be read.
    """
    binding = _only_binding(text, key)
    return (binding.value or None) if binding else None


def with_values(text: str, values: Mapping[str, str]) -> str:
    """Return the text with these values; lines that set nothing of it stay as they are, byte for byte.

    Raises:
        PermanentError: if a value cannot be written so that all readers agree, or the file cannot be read.
    """
    for key, value in values.items():
        text = _with_value(text, key, value)
    for key, value in values.items():
        if read_value(text, key) != value:
            raise PermanentError(f"{key} would not read back as it was written.", "Simplify its line in the file.")
    return text


def quote(key: str, value: str) -> str:
    """Return the value as dotenv readers and shells alike read it back.

    Args:
        key: what it is set to, for the error.
        value: any text.

    Raises:
        PermanentError: if no form exists on which both agree; the value is not shown.
    """
    if _PLAIN.fullmatch(value):
        return value
    # Dotenv readers expand ${...} and shells $..., even where only one of them honours the quotes.
    if value.isprintable() and not any(c in value for c in "$\\`"):
        if "'" not in value:
            return f"'{value}'"
        if '"' not in value and "!" not in value:
            return f'"{value}"'
    raise PermanentError(
        f"The value for {key} holds characters that dotenv readers and shells read differently.",
        "Use a value without control characters, $, `, \\ or both kinds of quotes.",
    )


def _bindings(text: str) -> Iterator[Binding]:
    return parse_stream(io.StringIO(text.removeprefix(_BOM), newline=""))


def _only_binding(text: str, key: str) -> Binding | None:
    setting = re.compile(rf"\s*(?:export{_SPACE}+)?'?{re.escape(key)}'?{_SPACE}*(?:=|$)", re.MULTILINE)
    found = [b for b in _bindings(text) if b.key == key or (b.error and setting.match(b.original.string))]
    if len(found) > 1:
        lines = ", ".join(str(b.original.line) for b in found)
        raise PermanentError(f"The file sets {key} more than once (entries at lines {lines}).", "Keep one of them.")
    if found and (found[0].error or found[0].value is None):
        raise PermanentError(f"Line {found[0].original.line} of the file names {key} but cannot be read.", "Repair it.")
    return found[0] if found else None


def _with_value(text: str, key: str, value: str) -> str:
    written = quote(key, value)
    binding = _only_binding(text, key)
    if binding is None:
        newline = "\r\n" if "\r\n" in text else "\n"
        gap = "" if not text or text.endswith(("\n", "\r")) else newline
        return f"{text}{gap}{key}={written}{newline}"
    lead = _BOM if text.startswith(_BOM) else ""
    parts = [_rewritten(b.original.string, written) if b == binding else b.original.string for b in _bindings(text)]
    return lead + "".join(parts)


def _rewritten(line: str, written: str) -> str:
    name, _, rest = line.partition("=")
    rest = rest.lstrip(" \t")
    quoted = _QUOTED.match(rest)
    if quoted:
        tail = rest[quoted.end() :]
    else:
        value = re.match(r"[^\r\n]*", rest)
        assert value is not None
        kept = "" if rest.startswith("#") and line.partition("=")[2] != rest else _uncommented(value[0])
        tail = rest[len(kept) :]
    gap = " " if tail.startswith("#") else ""
    return name.rstrip(" \t") + "=" + written + gap + tail


def _uncommented(value: str) -> str:
    return re.sub(r"\s+#.*", "", value).rstrip()
