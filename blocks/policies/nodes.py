"""From YAML nodes to plain Python with a map of positions: strings, booleans, integers, lists, string-keyed mappings.

A value that was refused stands as None in the result, at a path that is remembered: nothing more is said about it.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

import yaml

from blocks.policies.problems import Place, Problems, shown
from blocks.policies.scalars import Refusal, read_key, read_scalar
from blocks.policies.source import MAX_DEPTH, Composed, Source

KeyPath: TypeAlias = tuple[str | int, ...]
"""Keys and indexes from the root of a document down to a value."""

MAX_NODES = 100_000

_NAMES_ONLY = frozenset({"keys", "labels"})
"""Mappings whose values are names, whatever their keys say: ``keys: {password: WAREHOUSE_PASSWORD}``."""


@dataclass(slots=True)
class Document:
    """A document as plain Python, and where each part of it stands.

    Attributes:
        source: its text.
        value: the plain value of its root.
        keys: the node of the key that leads to a path.
        nodes: the node of the value at a path.
        refused: the paths about which something has been said already.
    """

    source: Source
    value: object = None
    keys: dict[KeyPath, yaml.Node] = field(default_factory=dict)
    nodes: dict[KeyPath, yaml.Node] = field(default_factory=dict)
    refused: set[KeyPath] = field(default_factory=set)

    def place(self, path: KeyPath) -> Place:
        """Return where the value at ``path`` begins."""
        return _place(self.nodes[path])

    def key_place(self, path: KeyPath) -> Place:
        """Return where the key that leads to ``path`` begins; for an item of a list, where the item begins."""
        return _place(self.keys.get(path) or self.nodes[path])

    def place_inside(self, path: KeyPath, column: int, *, key: bool = False) -> Place:
        """Return the place of the character ``column`` characters into the text at ``path``.

        Where the text is not written out on one line, the place where it begins.

        Args:
            path: where the text is.
            column: offset in characters.
            key: whether the text is the key that leads to ``path``, not the value.
        """
        node = self.keys[path] if key else self.nodes[path]
        start = _place(node)
        if column == 0 or not isinstance(node, yaml.ScalarNode) or node.start_mark.line != node.end_mark.line:
            return start
        at = self.source.line(start.line).find(node.value, start.column - 1, node.end_mark.column)
        return Place(start.line, at + column + 1) if at >= 0 else start

    def known(self, path: KeyPath) -> bool:
        """Return whether something was said already about the value at ``path`` or about what holds it."""
        return any(path[:length] in self.refused for length in range(len(path) + 1))


def to_plain(composed: Composed, problems: Problems) -> Document:
    """Return the document as plain Python after telling ``problems`` whatever is not strict in it."""
    walk = _Walk(composed, problems)
    try:
        walk.document.value = walk.value(composed.root, ())
    except _TooManyNodesError:
        walk.document.refused.add(())
    return walk.document


class _TooManyNodesError(Exception):
    """The document is too large, or an alias makes it so; it has been reported."""


class _Walk:
    def __init__(self, composed: Composed, problems: Problems) -> None:
        self.document = Document(composed.source)
        self._tagged = composed.tagged
        self._problems = problems
        self._count = 0
        self._above: list[yaml.Node] = []

    def value(self, node: yaml.Node, path: KeyPath) -> object:
        self.document.nodes[path] = node
        self._limits(node)
        if self._is_tagged(node):
            self.document.refused.add(path)
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self._above.append(node)
        plain = self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._list(node, path)
        self._above.pop()
        return plain

    def _limits(self, node: yaml.Node) -> None:
        self._count += 1
        if any(node is above for above in self._above):
            self._stop(node, "P018", "this anchor (`&`) holds an alias of itself")
        if len(self._above) >= MAX_DEPTH and not isinstance(node, yaml.ScalarNode):
            self._stop(node, "P019", f"nesting over {MAX_DEPTH} levels through aliases")
        if self._count > MAX_NODES:
            self._stop(node, "P018", f"over {MAX_NODES} values, those that aliases repeat counted each time")

    def _stop(self, node: yaml.Node, code: str, message: str) -> None:
        self._problems.add(_place(node), code, message, "Write the values out, or split the policy.")
        raise _TooManyNodesError

    def _list(self, node: yaml.Node, path: KeyPath) -> list[object]:
        items = [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        first: dict[str, int] = {}
        for index, item in enumerate(items):
            name = item.get("name") if isinstance(item, dict) else None
            if isinstance(name, str) and first.setdefault(name, index) != index:
                line = self.document.place((*path, first[name], "name")).line
                message = f"two items of {shown(path[-1] if path else '')} have the same name; also at line {line}"
                self._refuse((*path, index, "name"), Refusal("P045", message, "Give each its own name."))
        return items

    def _mapping(self, node: yaml.Node, path: KeyPath) -> dict[str, object]:
        plain: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key is None:
                continue
            where = (*path, key)
            if key in plain:
                message = f"duplicate key {shown(key)}, first at line {self.document.key_place(where).line}"
                self._problems.add(_place(key_node), "P016", message, "Keep one of them.")
                continue
            self.document.keys[where] = key_node
            plain[key] = self.value(value_node, where)
        return plain

    def _key(self, node: yaml.Node) -> str | None:
        """Return a key, or None after reporting it."""
        if self._is_tagged(node):
            return None
        key = read_key(node)
        if isinstance(key, str):
            return key
        if not self._is_reported(node):
            self._problems.add(_place(node), *key)
        return None

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> object:
        last = path[-1] if path else None
        holder = path[-2] if len(path) > 1 else None
        value = read_scalar(node, last if isinstance(last, str) and holder not in _NAMES_ONLY else None)
        if not isinstance(value, Refusal):
            return value
        self._refuse(path, value)
        return None

    def _refuse(self, path: KeyPath, refusal: Refusal) -> None:
        self.document.refused.add(path)
        node = self.document.nodes[path]
        if not self._is_reported(node):
            # An empty value has no place that a reader could find.
            place = self.document.key_place(path) if refusal.code == "P031" else _place(node)
            self._problems.add(place, *refusal)

    def _is_tagged(self, node: yaml.Node) -> bool:
        return (node.start_mark.line, node.start_mark.column) in self._tagged

    def _is_reported(self, node: yaml.Node) -> bool:
        """Return whether a character or a secret has been reported on a line of this scalar already."""
        lines = range(node.start_mark.line + 1, node.end_mark.line + 2)
        return isinstance(node, yaml.ScalarNode) and not self.document.source.reported.isdisjoint(lines)


def _place(node: yaml.Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)
