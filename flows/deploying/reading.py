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
        keys: every key of the entry.
        pull: its pull steps; None where the entry and the document have none.
    """

    name: str
    entrypoint: str
    work_pool: str
    parameters: Mapping[str, Any]
    keys: frozenset[str]
    pull: object


def read_deployments(path: Path) -> list[Deployment]:
    """Return the deployments of a ``prefect.yaml``.

    Raises:
        BadInputError: if the file cannot be read or is no such document.
    """
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
        return [_deployment(entry, document.get("pull")) for entry in document["deployments"]]
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}.", "Name the file with --prefect-file.") from None
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        where = f"{path}:{place.line + 1}:{place.column + 1}" if place else str(path)
        raise BadInputError(f"{where}: this is not YAML.", "Compare it with the prefect.yaml of Vigiles.") from None
    except (AttributeError, KeyError, TypeError):
        advice = "Each needs name, entrypoint, work_pool: {name: ...} and parameters."
        raise BadInputError(f"{path} has no list of complete deployments.", advice) from None


def _deployment(entry: Mapping[str, Any], pull: object) -> Deployment:
    return Deployment(
        name=entry["name"],
        entrypoint=entry["entrypoint"],
        work_pool=entry["work_pool"]["name"],
        parameters=dict(entry.get("parameters") or {}),
        keys=frozenset(entry),
        pull=entry.get("pull", pull),
    )


def reference(value: object) -> str | None:
    """Return the slug of a parameter that refers to a block document, such as ``access-policy/production``."""
    inner = value.get("$ref") if isinstance(value, Mapping) else None
    slug = inner.get("block_document_slug") if isinstance(inner, Mapping) else None
    return slug if isinstance(slug, str) else None
