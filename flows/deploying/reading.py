"""Reading ``prefect.yaml`` as far as Vigiles needs it; Prefect itself deploys it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rules.errors import BadInputError


@dataclass(frozen=True, slots=True)
class Deployment:
    """One entry of ``prefect.yaml``.

    Attributes:
        name: the deployment's name, without its flow.
        entrypoint: the module path of the flow function.
        work_pool: the name of its work pool.
        parameters: the defaults of its runs, references unresolved.
        schedules: its schedules, as they are written.
        keys: every key of the entry.
        pull: its pull steps; None where the entry and the document have none.
    """

    name: str
    entrypoint: str
    work_pool: str
    parameters: Mapping[str, Any]
    schedules: tuple[Mapping[str, Any], ...]
    keys: frozenset[str]
    pull: object


def read_deployments(path: Path) -> list[Deployment]:
    """Return the deployments of a ``prefect.yaml``.

    Raises:
        BadInputError: if the file cannot be read or is no such document.
    """
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
        deployments = [_deployment(entry, document.get("pull")) for entry in document["deployments"]]
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}.", "Name the file with --prefect-file.") from None
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        where = f"{path}:{place.line + 1}:{place.column + 1}" if place else str(path)
        raise BadInputError(f"{where}: this is not YAML.", "Compare it with the prefect.yaml of Vigiles.") from None
    except (AttributeError, KeyError, TypeError, ValueError):
        deployments = []
    if not deployments:
        advice = "Each needs name, entrypoint, work_pool: {name: ...} and parameters."
        raise BadInputError(f"{path} has no list of complete deployments.", advice)
    return deployments


def _deployment(entry: Mapping[str, Any], pull: object) -> Deployment:
    return Deployment(
        name=_text(entry["name"]),
        entrypoint=_text(entry["entrypoint"]),
        work_pool=_text(entry["work_pool"]["name"]),
        parameters=dict(entry.get("parameters") or {}),
        schedules=tuple(dict(schedule) for schedule in entry.get("schedules") or ()),
        keys=frozenset(entry),
        pull=entry.get("pull", pull),
    )


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("a name is a text")
    return value


def reference(value: object) -> str | None:
    """Return the slug of a parameter that refers to a block document, such as ``access-policy/production``."""
    inner = value.get("$ref") if isinstance(value, Mapping) else None
    slug = inner.get("block_document_slug") if isinstance(inner, Mapping) else None
    return slug if isinstance(slug, str) else None
