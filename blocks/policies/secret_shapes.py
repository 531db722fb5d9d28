"""What a secret looks like: so that one pasted into a policy is found, and is never shown.

Known shapes (tokens with a prefix, JSON web tokens, private keys, addresses with a password) are searched in any text;
long words without one are judged by how random they look. Digests, UUIDs, names and identifiers are no secrets.
"""

import math
import re
from collections import Counter
from itertools import pairwise

HIDDEN = "(hidden)"

PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY|PuTTY-User-Key-File-\d|AGE-SECRET-KEY-1[A-Z0-9]+")
"""How a private key begins."""

KNOWN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:gh[pousr]_|github_pat_|glpat-|pn[ub]_|xox[a-z]-|xapp-|dop_v1_|shpat_)[A-Za-z0-9_-]{4,}"
    r"|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{30,}"
    r"|(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{8,}"
    r"|sk-(?=[A-Za-z0-9_-]*[0-9A-Z])[A-Za-z0-9_-]{20,}"
    r"|hv[sbr]\.[A-Za-z0-9_-]{8,}|SG\.[A-Za-z0-9_-]{8,}|ya29\.[A-Za-z0-9_-]{8,}"
    r"|AIza[A-Za-z0-9_-]{16,}|(?:AKIA|ASIA)[A-Z0-9]{8,}"
    r"|eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*"
    r"|[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s/:@]{0,200}:[^\s/@]{1,200}@"
    r")"
)
"""Tokens that say what they are."""

_KEY_NAME = re.compile(
    r"(?i)(?:^|[_-])(?:password|passwd|passphrase|pwd|token|secret|credential|api[_-]?key|access[_-]?key|private[_-]?key)$"
)
_REFERENCE = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*/[A-Za-z0-9][A-Za-z0-9._-]*")
# The second is base64 with its slashes; a shorter run of letters and slashes is more often a path.
_WORD = re.compile(r"[A-Za-z0-9+_=.~-]{20,}|[A-Za-z0-9+/]{40,}={0,2}")
_PUBLIC = re.compile(r"-----BEGIN (?:[A-Z0-9 ]*PUBLIC KEY|CERTIFICATE)|\bssh-(?:rsa|ed25519) |\becdsa-sha2-")
_DIGEST_LENGTHS = frozenset({32, 40, 56, 64, 96, 128})
# A shorter word cannot be told from a name.
_SHORTEST = 20
_RANDOM_BITS = 3.5
_RANDOM_CHANGES = {"lower": 0.27, "mixed": 0.33}


def holds_secret(text: str) -> bool:
    """Return whether a part of ``text`` looks like a secret."""
    return bool(KNOWN.search(text) or PRIVATE_KEY.search(text)) or holds_random_word(text)


def holds_random_word(text: str) -> bool:
    """Return whether ``text`` holds a long word that looks random and is no digest, UUID, name or public key."""
    return _PUBLIC.search(text) is None and any(_random(word[0]) for word in _WORD.finditer(text))


def names_secret(key: str, value: str) -> bool:
    """Return whether ``key`` says that its value is a secret, and ``value`` is no reference ``type-slug/name``."""
    return bool(_KEY_NAME.search(key)) and _REFERENCE.fullmatch(value) is None


def without_secrets(text: str) -> str:
    """Return ``text`` with whatever looks like a secret in it replaced."""
    text = KNOWN.sub(HIDDEN, text)
    text = PRIVATE_KEY.sub(HIDDEN, text)
    return _WORD.sub(lambda word: HIDDEN if _random(word[0]) else word[0], text)


def _random(word: str) -> bool:
    if word.islower():
        return any(_random_part(part) for part in re.split(r"[-_.~=+]", word))
    return _random_part(word)


def _random_part(part: str) -> bool:
    if len(part) < _SHORTEST or is_digest(part):
        return False
    kinds = [_kind(character) for character in part]
    changes = sum(a != b for a, b in pairwise(kinds))
    enough = _RANDOM_CHANGES["lower" if part.islower() else "mixed"] * (len(part) - 1)
    mixed = len(set(kinds) & set("aA0")) > 1 and changes >= enough
    return mixed and _bits(part) >= _RANDOM_BITS


def is_digest(part: str) -> bool:
    """Return whether ``part`` is a number in hex, as long as digests and UUIDs are; and as some access keys are."""
    hexadecimal = part.replace("-", "")
    return len(hexadecimal) in _DIGEST_LENGTHS and re.fullmatch(r"[0-9a-f]+|[0-9A-F]+", hexadecimal) is not None


def _kind(character: str) -> str:
    if character.isdigit():
        return "0"
    if character.isalpha():
        return "a" if character.islower() else "A"
    return "-"


def _bits(text: str) -> float:
    counts = Counter(text).values()
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts)
