"""Reading a selector: the text becomes requirements, or an error that points at the character to blame."""

import re
from functools import lru_cache

from rules.selectors.contradictions import first_contradiction
from rules.selectors.labels import SelectorError, check_key, check_value
from rules.selectors.requirements import Operator, Requirement, Selector

_SPACE = re.compile(r"\s*")
_TOKEN = re.compile(r"[^\s,()!=<>]*")
_SYMBOL = re.compile(r"==|=|!=|>|<")
_WORD = re.compile(r"[^\s,()]+")
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_OPERATORS = {"=": Operator.EQUALS, "==": Operator.EQUALS, "!=": Operator.NOT_EQUALS, ">": Operator.GREATER}
_OPERATORS |= {"<": Operator.LESS, "in": Operator.IN, "notin": Operator.NOT_IN}
_EXAMPLE = "Write for example environment=production."
_ONE_OF = "Operators are =, ==, !=, in, notin, > and <."
_WORD_HINTS = {
    "not": "Write notin, or !key for a label that must be missing.",
    "and": "Join requirements with a comma.",
    "&&": "Join requirements with a comma.",
    "or": "There is no or: write key in (a,b), or a second constraint.",
    "||": "There is no or: write key in (a,b), or a second constraint.",
    "doesnotexist": "Write !key.",
    "exists": "Write the key alone.",
    "gt": "Did you mean >?",
    "lt": "Did you mean <?",
    "equals": "Did you mean =?",
}


@lru_cache(maxsize=1024)
def parse_selector(text: str) -> Selector:
    """Return the selector that ``text`` writes.

    Args:
        text: in the syntax of Kubernetes label selectors (see the package).

    Raises:
        SelectorError: with the column to blame, a hint, and a code: P050 unknown operator, P051 no values, P053 no
            whole number, P054 bad key, P055 bad value, P056 empty, P057 can never match, P058 syntax, P059 reserved.
    """
    try:
        return _Reader(text).selector()
    except SelectorError as error:
        error.text = text
        raise


class _Reader:
    """Reads a text from left to right; every method moves past what it returns."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def selector(self) -> Selector:
        self._skip()
        if self._ended:
            raise SelectorError("an empty selector would match everything", 0, _EXAMPLE, code="P056")
        requirements = [self._requirement()]
        while not self._ended:
            self._comma()
            requirements.append(self._requirement())
        index = first_contradiction(requirements)
        if index is not None:
            message = f"with `{requirements[index]}` no labels can ever match"
            hint = "It contradicts itself or an earlier requirement on the same key: remove one."
            raise SelectorError(message, requirements[index].column, hint, code="P057")
        return Selector(tuple(requirements))

    def _requirement(self) -> Requirement:
        column = self.at
        if self._peek == "!":
            self.at += 1
            self._skip()
            return Requirement(self._key(), Operator.ABSENT, (), column)
        key = self._key()
        if self._ended or self._peek == ",":
            return Requirement(key, Operator.EXISTS, (), column)
        operator = self._operator()
        return Requirement(key, operator, self._operand(operator), column)

    def _operand(self, operator: Operator) -> tuple[str, ...]:
        if operator in (Operator.IN, Operator.NOT_IN):
            return self._values()
        if operator in (Operator.GREATER, Operator.LESS):
            return (self._integer(),)
        return (self._value(),)

    def _key(self) -> str:
        start, key = self.at, self._take(_TOKEN)
        if not key:
            found = f"`{self._peek}`" if self._peek else "the end"
            raise SelectorError(f"a label's key is missing before {found}", start, _EXAMPLE)
        check_key(key, start)
        self._skip()
        return key

    def _operator(self) -> Operator:
        start = self.at
        symbol = self._take(_SYMBOL)
        if symbol:
            self._refuse_longer(symbol, start)
            self._skip()
            return _OPERATORS[symbol]
        word = self._take(_WORD)
        if word in _OPERATORS:
            self._skip()
            return _OPERATORS[word]
        if not word:
            raise SelectorError(f"`{self._peek}` cannot stand here", start, _ONE_OF)
        raise SelectorError(f"`{word}` is no operator", start, _word_hint(word), code="P050")

    def _refuse_longer(self, symbol: str, start: int) -> None:
        if self._peek in ("=", "~", ">", "<", "!"):
            message = f"`{symbol}{self._peek}` is no operator"
            hint = "There are no patterns." if self._peek == "~" else _ONE_OF
            raise SelectorError(message, start, hint, code="P050")

    def _value(self) -> str:
        start, value = self.at, self._take(_TOKEN)
        check_value(value, start)
        self._skip()
        return value

    def _integer(self) -> str:
        start, value = self.at, self._take(_TOKEN)
        if not _INTEGER.fullmatch(value):
            hint = "Write for example cores>4, with at most 18 digits."
            raise SelectorError("> and < take one whole number", start, hint, code="P053")
        self._skip()
        return str(int(value))

    def _values(self) -> tuple[str, ...]:
        opened = self.at
        self._expect("(", "the values of in and notin stand in parentheses", "Write key in (a,b).")
        if self._peek == ")":
            raise SelectorError("in and notin need at least one value", opened, "Write key in (a,b).", code="P051")
        values = [self._value()]
        while self._peek == ",":
            self.at += 1
            self._skip()
            values.append(self._value())
        self._expect(")", "the parenthesis of this list is not closed", "Close it with ).", blame=opened)
        return tuple(dict.fromkeys(values))

    def _comma(self) -> None:
        word = self._word_ahead()
        self._expect(",", f"a comma is missing before `{word}`", _WORD_HINTS.get(word.lower(), _WORD_HINTS["and"]))
        if self._ended:
            raise SelectorError("a requirement is missing after the comma", self.at, "Remove the comma.")

    def _expect(self, character: str, message: str, hint: str, blame: int | None = None) -> None:
        if self._peek != character:
            raise SelectorError(message, blame if blame is not None and self._ended else self.at, hint)
        self.at += 1
        self._skip()

    def _word_ahead(self) -> str:
        match = _WORD.match(self.text, self.at)
        return match[0] if match else self._peek

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match[0]

    def _skip(self) -> None:
        self._take(_SPACE)

    @property
    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    @property
    def _ended(self) -> bool:
        return self.at == len(self.text)


def _word_hint(word: str) -> str:
    lowered = word.lower()
    if lowered in ("in", "notin"):
        return f"Did you mean {lowered}?"
    return _WORD_HINTS.get(lowered, _ONE_OF)
