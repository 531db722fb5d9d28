"""What the writer of a misspelt name may have meant, at a cost that does not grow with the square of the document."""

from collections.abc import Collection
from difflib import get_close_matches

from blocks.policies.problems import SHOWN_PROBLEMS

_MOST_COMPARED = 100
_MOST_LISTED = 20


def quoted(name: str) -> str:
    """Return a word of the document as messages show it: the loader hides what stands in back quotes and is no word."""
    return "`" + name.replace("`", "'") + "`"


class Nearest:
    """Gives hints on names that are not known; after as many as are ever shown, it gives none."""

    def __init__(self) -> None:
        self._left = SHOWN_PROBLEMS

    def hint(self, name: str, known: Collection[str]) -> str:
        """Return the known name that is nearest, or all if they are few, as a sentence; empty where many are known.

        Args:
            name: what was written.
            known: what could have been meant, each once.
        """
        if self._left == 0 or len(known) > _MOST_COMPARED:
            return ""
        self._left -= 1
        if close := get_close_matches(name, known, 1, 0.5):
            return f"Did you mean {quoted(close[0])}?"
        if len(known) > _MOST_LISTED:
            return ""
        return f"Known: {', '.join(map(quoted, known)) or 'none'}."
