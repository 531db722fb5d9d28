"""What the YAML parser stumbles over, in words that say what to change; none of them quotes the document."""

from collections.abc import Callable

import yaml

from blocks.policies.problems import Place, Problems

_QUOTE_FIRST = "@`%"
_UNCLOSED = {
    "flow sequence": ("the list", "`]` or comma"),
    "flow mapping": ("the mapping", "`}` or comma"),
    "quoted scalar": ("the quoted text", "quote"),
}


def add_syntax_problem(error: Exception, line: Callable[[int], str], problems: Problems) -> None:
    """Report an error of PyYAML's parser or composer.

    Args:
        error: what it raised.
        line: returns the text of a line, counted from 1.
        problems: where to report it.
    """
    if not isinstance(error, yaml.MarkedYAMLError):
        problems.add(Place(), "P014", "the file holds a character that YAML does not allow", "Save it as plain UTF-8.")
        return
    mark = error.problem_mark or error.context_mark
    place = Place(mark.line + 1, mark.column + 1) if mark else Place()
    reason = error.problem or ""
    if isinstance(error, yaml.composer.ComposerError):
        _anchors(place, reason, problems)
    elif "escape code" in reason or "Unicode character" in reason:
        problems.add(place, "P014", "an escape names a character that does not exist", "Write the character itself.")
    else:
        opened = Place(error.context_mark.line + 1, error.context_mark.column + 1) if error.context_mark else None
        at = line(place.line)[place.column - 1 : place.column]
        problems.add(place, "P013", *_words(reason, error.context or "", place, opened, at))


def _anchors(place: Place, reason: str, problems: Problems) -> None:
    if "undefined" in reason:
        problems.add(place, "P018", "this alias (`*`) has no anchor (`&`) before it", "Write the value out.")
    else:
        problems.add(place, "P018", "this anchor (`&`) is defined twice", "Write the value out.")


def _words(reason: str, context: str, place: Place, opened: Place | None, at: str) -> tuple[str, str]:
    if at == "\t":
        return (f"tab at {place.line}:{place.column}", "Use spaces.")
    if "YAML document" in reason or "directive" in reason or "directive" in context:
        return ("YAML directives are not allowed", "Remove the line that begins with `%`.")
    if at and at in _QUOTE_FIRST:
        return (f"a plain value cannot start with {at}", f"Quote values starting with {at}.")
    if "mapping values are not allowed" in reason:
        return ("a second `: ` on one line", "Quote the value, or begin a new line.")
    since = f", opened at {opened.line}:{opened.column}," if opened else ""
    for construct, (noun, missing) in _UNCLOSED.items():
        if construct in context:
            return (f"{noun}{since} is not closed", f"Add the missing {missing}.")
    return ("this is not valid YAML here", "Check the indentation and the quotes of this line and the one above.")
