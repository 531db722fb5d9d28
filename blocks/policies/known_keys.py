"""Which keys a policy's model knows at a path: read from its annotations, for the hint to a misspelt key."""

import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

SET_BY_PUBLISHING = frozenset({"digest"})
"""Fields of a policy block that no document has."""


def known_keys(model: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    """Return the keys that a mapping at ``path`` of a document may have, sorted; none where any key may stand.

    Args:
        model: the model of the whole document.
        path: keys and indexes from the root.
    """
    annotations: list[Any] = [model]
    for step in path:
        annotations = [inner for outer in annotations for inner in _inside(outer, step)]
    models = [branch for annotation in annotations for branch in _branches(annotation) if _is_model(branch)]
    keys = {key for branch in models for key in fields_by_key(branch)} - SET_BY_PUBLISHING
    return sorted(keys | {"kind"} if not path else keys)


def fields_by_key(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of a model by the key that a document uses for them."""
    return {
        field.validation_alias if isinstance(field.validation_alias, str) else name: field
        for name, field in model.model_fields.items()
    }


def _inside(annotation: Any, step: str | int) -> Iterator[Any]:
    for branch in _branches(annotation):
        arguments = get_args(branch)
        if _is_model(branch):
            field = fields_by_key(branch).get(str(step))
            if field is not None:
                yield field.annotation
        elif isinstance(step, str) and arguments[1:]:
            yield arguments[1]
        elif isinstance(step, int) and arguments:
            yield arguments[0]


def _branches(annotation: Any) -> Iterator[Any]:
    """Yield an annotation, taken apart where it is a union, an alias, or carries metadata."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _branches(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for argument in get_args(annotation):
            yield from _branches(argument)
    elif hasattr(annotation, "__value__"):
        yield from _branches(annotation.__value__)
    else:
        yield annotation


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
