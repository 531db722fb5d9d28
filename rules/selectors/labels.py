"""What a label key and a label value may be, and the error that points at the character to blame.

Limits and alphabet are those of Kubernetes labels (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/).
"""

import re

NAME_LIMIT = 63
PREFIX_LIMIT = 253

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_ILLEGAL = re.compile(r"[^A-Za-z0-9_.-]")
_RESERVED = "prefect."
_ALPHABET = "Use letters, digits, - _ and . only, beginning and ending with a letter or digit."


class SelectorError(ValueError):
    """A selector, key or value cannot be used.

    Attributes:
        message: what is wrong, in one sentence.
        column: offset in characters, from 0, of the one to blame.
        hint: what to write instead.
        code: the stable code of this kind of error, such as ``P058``.
        text: the whole text that was read; empty until a parser knows it.
    """

    def __init__(self, message: str, column: int = 0, hint: str = "", *, code: str = "P058", text: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.column = column
        self.hint = hint
        self.code = code
        self.text = text

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuilt, (self.message, self.column, self.hint, self.code, self.text))

    @property
    def caret(self) -> str:
        """Two lines: the text, and below it a ``^`` under the character to blame."""
        flat = "".join(" " if c.isspace() else c for c in self.text)
        return f"{flat}\n{' ' * self.column}^"


def _rebuilt(message: str, column: int, hint: str, code: str, text: str) -> SelectorError:
    return SelectorError(message, column, hint, code=code, text=text)


def check_key(key: str, column: int = 0) -> None:
    """Check that ``key`` may be a label's key.

    Args:
        key: ``name`` or ``prefix/name``.
        column: where the key begins in the text around it, from 0.

    Raises:
        SelectorError: P054 if it is malformed or too long, P059 if it is one of Prefect's own.
    """
    if key.startswith(_RESERVED):
        hint = "Any client can write Prefect's own labels, so they prove nothing: use a key of yours."
        raise SelectorError(f"the key `{key[:80]}` is reserved by Prefect", column, hint, code="P059")
    prefix, slash, name = key.rpartition("/")
    if slash:
        _check_length("the prefix of a key", prefix, PREFIX_LIMIT, column, "P054")
        if not _PREFIX.fullmatch(prefix):
            hint = "A prefix is a DNS name in lower case, such as example.com/key."
            raise SelectorError(f"the prefix `{prefix}` is no DNS name", column, hint, code="P054")
        column += len(prefix) + 1
    if not name:
        raise SelectorError("the key has no name", column, "Write for example environment.", code="P054")
    _check_length("a key", name, NAME_LIMIT, column, "P054")
    _check_alphabet("key", name, column, "P054")


def check_value(value: str, column: int = 0) -> None:
    """Check that ``value`` may be a label's value; it may be empty.

    Args:
        value: the text to check.
        column: where the value begins in the text around it, from 0.

    Raises:
        SelectorError: P055 if it is malformed or too long.
    """
    _check_length("a value", value, NAME_LIMIT, column, "P055")
    if value:
        _check_alphabet("value", value, column, "P055")


def canonical_label(value: object) -> str:
    """Return the text that a label value stands for: the one place where booleans and whole numbers become text.

    Raises:
        SelectorError: P030 for a float, date or other type, P031 for nothing at all, P055 for an unusable text.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        value = str(value)
    if value is None:
        raise SelectorError("the label has no value", 0, 'Write a value, or "" for an empty one.', code="P031")
    if not isinstance(value, str):
        hint = "Write true, false, a whole number, or a text in quotes."
        raise SelectorError(f"a label cannot be a {type(value).__name__}", 0, hint, code="P030")
    check_value(value)
    return value


def _check_length(what: str, text: str, limit: int, column: int, code: str) -> None:
    if len(text) > limit:
        message = f"{what} has {len(text)} characters; at most {limit} are allowed"
        raise SelectorError(message, column + limit, "Write a shorter one.", code=code)


def _check_alphabet(what: str, text: str, column: int, code: str) -> None:
    if _NAME.fullmatch(text):
        return
    illegal = _ILLEGAL.search(text)
    if illegal is None:
        at = 0 if not text[0].isalnum() else len(text) - 1
        message = f"a {what} begins and ends with a letter or digit, not with `{text[at]}`"
        raise SelectorError(message, column + at, _ALPHABET, code=code)
    raise SelectorError(f"{illegal[0]!r} cannot stand in a {what}", column + illegal.start(), _ALPHABET, code=code)
