"""Label selectors in the string syntax of Kubernetes: ``environment=production, tier notin (web), !legacy, cores>4``.

The rules, of which the last four are stricter than Kubernetes:

* Requirements are joined by ``,`` and all must hold. There is no "or", no pattern and no quoting.
* ``!=`` and ``notin`` hold where the label is missing; every other operator but ``!key`` needs the label.
* ``>`` and ``<`` compare with one whole number; a label that is no whole number does not match, and the reason says so.
* A key is ``[prefix/]name``; names and values have at most 63 characters, prefixes 253.
* An empty selector is refused: it would match everything.
* A selector that no labels could ever match is refused.
* Keys of Prefect's own (``prefect.``) are refused: any client can write them, so they prove nothing.
* Operators are written in lower case.
"""

from rules.selectors.labels import SelectorError, canonical_label, check_key, check_value
from rules.selectors.parsing import parse_selector
from rules.selectors.requirements import Mismatch, Operator, Requirement, Selector

__all__ = [
    "Mismatch",
    "Operator",
    "Requirement",
    "Selector",
    "SelectorError",
    "canonical_label",
    "check_key",
    "check_value",
    "parse_selector",
]
