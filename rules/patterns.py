"""Names with wildcards, as policies write them."""

from fnmatch import fnmatchcase


def matches(name: str, pattern: str) -> bool:
    """Return whether a name fits a pattern, in which ``*`` and ``?`` are wildcards and nothing else is.

    Args:
        name: the name, taken as it is: case counts.
        pattern: what the whole name must look like.
    """
    # A bracket would open a set of characters, which no policy is told of: `etl[prod]` must mean just that.
    return fnmatchcase(name, pattern.replace("[", "[[]"))
