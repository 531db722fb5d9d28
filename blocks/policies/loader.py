"""The strict loader of policy documents: reads them all, and says everything that is wrong with them at once.

Bytes become nodes (``source``), nodes become plain Python (``nodes``), and the model of the document's ``kind`` judges
it (``model_errors``). It raises nothing: whatever the bytes are, the answer is policies and problems.
"""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from blocks.policies.interface import Policy
from blocks.policies.kinds import KINDS, Kinds
from blocks.policies.known_keys import SET_BY_PUBLISHING, fields_by_key, known_keys
from blocks.policies.model_errors import add_model_errors, add_unknown_key, is_from_lax_mode
from blocks.policies.nodes import Document, to_plain
from blocks.policies.problems import Place, Problem, Problems
from blocks.policies.source import compose, read_source

_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """A policy, and the file it came from.

    Attributes:
        path: the file.
        policy: the block, unsaved, with its digest set.
    """

    path: Path
    policy: Policy


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a set of files holds.

    Attributes:
        policies: the policies of the files that are in order, sorted by path.
        problems: everything that is wrong, sorted by place.
    """

    policies: tuple[LoadedPolicy, ...]
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that are no warnings."""
        return tuple(problem for problem in self.problems if not problem.warning)


def load_policies(paths: Sequence[Path], kinds: Kinds = KINDS) -> Loaded:
    """Return the policies of all files, and all that is wrong with them.

    Args:
        paths: files, and folders whose ``*.yaml`` and ``*.yml`` files are meant.
        kinds: which class reads which kind.
    """
    collected: list[Problems] = []
    policies: list[LoadedPolicy] = []
    seen: dict[tuple[str, str], Place] = {}
    first: dict[tuple[str, str], Path] = {}
    for path in _files(paths, collected):
        problems = Problems(path)
        collected.append(problems)
        document = _document(path, problems)
        if document is None:
            continue
        _report_same_name(document, path, seen, first, problems)
        policy = _policy(document, kinds, problems)
        if policy is not None and not problems.fatal:
            policies.append(LoadedPolicy(path, policy))
    ordered = sorted(chain.from_iterable(collected), key=lambda problem: problem.order)
    return Loaded(tuple(policies), tuple(ordered))


def _files(paths: Sequence[Path], collected: list[Problems]) -> Iterator[Path]:
    """Yield each file once, sorted; a folder without policies is a problem of its own."""
    found: dict[Path, Path] = {}
    for path in paths:
        members = _members(path)
        if members == []:
            problems = Problems(path)
            problems.add(Place(), "P001", "no policy to read in this folder", "Name its files *.yaml or *.yml.")
            collected.append(problems)
        for member in [path] if members is None else members:
            found.setdefault(_identity(member), member)
    yield from sorted(found.values(), key=str)


def _members(path: Path) -> list[Path] | None:
    """Return the policy files of a folder, or None for whatever cannot be listed: reading it will say why."""
    try:
        return [member for member in path.iterdir() if member.suffix in _SUFFIXES]
    except (OSError, ValueError):
        return None


def _identity(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):
        return path


def _document(path: Path, problems: Problems) -> Document | None:
    source = read_source(path, problems)
    composed = compose(source, problems) if source else None
    if composed is None:
        return None
    document = to_plain(composed, problems)
    if document.known(()):
        return None
    if not isinstance(document.value, dict):
        held = {str: "string", list: "list", bool: "boolean", int: "number"}.get(type(document.value), "value")
        problems.add(document.place(()), "P011", f"the top level must be a mapping, got a {held}", _BEGIN)
        return None
    return document


_BEGIN = "Begin with `kind`, `version` and `name`."


def _report_same_name(
    document: Document,
    path: Path,
    seen: dict[tuple[str, str], Place],
    first: dict[tuple[str, str], Path],
    problems: Problems,
) -> None:
    value: Any = document.value
    kind, name = value.get("kind"), value.get("name")
    if not (isinstance(kind, str) and isinstance(name, str)):
        return
    place = document.place(("name",))
    if (kind, name) in seen:
        where = f"{first[kind, name]}:{seen[kind, name].line}"
        problems.add(place, "P045", f"another policy of this kind has the same name; also at {where}", "Rename one.")
        return
    seen[kind, name], first[kind, name] = place, path


def _policy(document: Document, kinds: Kinds, problems: Problems) -> Policy | None:
    try:
        policy_class = _class_of(document, kinds, problems)
        return None if policy_class is None else _judged(document, policy_class, problems)
    except Exception as error:  # noqa: BLE001 - a validator's mistake must not hide what else is wrong
        message = f"the model of this kind failed ({type(error).__name__})"
        problems.add(Place(), "P049", message, "This is a defect of Vigiles: please report it.")
        return None


def _judged(document: Document, policy_class: type[Policy], problems: Problems) -> Policy | None:
    value: Any = document.value
    fields = fields_by_key(policy_class).keys() - SET_BY_PUBLISHING
    for key in value.keys() - fields - {"kind"}:
        add_unknown_key(document, (key,), known_keys(policy_class, ()), problems)
    # Prefect's blocks accept any key, and its serializers would then save it.
    declared = {key: value[key] for key in value.keys() & fields}
    return _validated(policy_class, declared, document, problems)


def _class_of(document: Document, kinds: Kinds, problems: Problems) -> type[Policy] | None:
    value: Any = document.value
    kind = value.get("kind")
    if isinstance(kind, str) and kind in kinds:
        return kinds[kind]()
    for key in ("version", "name"):
        if key not in value:
            problems.add(document.place(()), "P040", f"`{key}` is required")
    names = ", ".join(kinds)
    if "kind" not in value:
        problems.add(document.place(()), "P040", "`kind` is required", f"It is one of {names}.")
    elif not document.known(("kind",)):
        nearest = difflib.get_close_matches(kind, list(kinds), 1, 0.6) if isinstance(kind, str) else []
        hint = f"Did you mean `{nearest[0]}`?" if nearest else ""
        problems.add(document.place(("kind",)), "P046", f"`kind` must be one of {names}", hint)
    return None


def _validated(
    policy_class: type[Policy], declared: dict[str, Any], document: Document, problems: Problems
) -> Policy | None:
    """Return the policy, or None after reporting what its model says against it."""
    errors: list[Any] = []
    policy = None
    try:
        policy = policy_class(**declared)
    except ValidationError as error:
        errors += error.errors(include_url=False, include_input=False)
    try:
        policy_class.__pydantic_validator__.validate_python(
            declared, strict=True, self_instance=policy_class.__new__(policy_class)
        )
    except ValidationError as error:
        # YAML has only strings, numbers and booleans: one for the other is a mistake that lax mode would hide.
        strict = error.errors(include_url=False, include_input=False)
        places = {e["loc"] for e in errors}
        errors += [e for e in strict if e["loc"] not in places and is_from_lax_mode(e, document)]
    add_model_errors(errors, document, policy_class, problems)
    if policy is None or errors:
        return None
    policy.digest = policy.compute_digest()
    return policy
