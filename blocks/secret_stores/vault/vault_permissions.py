"""The capabilities that a rotation takes in KV version 2, and which of them a login has."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from blocks.secret_stores.interface import Permission
from rules.rotation import StepKind

if TYPE_CHECKING:
    from hvac import Client

_RECORDED = (
    StepKind.CLAIM,
    StepKind.INTEND,
    StepKind.STAGE,
    StepKind.CONFIRM,
    StepKind.DISCARD,
    StepKind.FORGET,
)


def needed(mount: str, secret: str, record: str) -> tuple[Permission, ...]:
    """Return every capability that a rotation takes, not knowing which are granted.

    Args:
        mount: of the engine.
        secret: path of the secret.
        record: path of the record beside it.
    """
    return (
        Permission("read", f"{mount}/data/{secret}", (*_RECORDED, StepKind.PROMOTE)),
        Permission("update", f"{mount}/data/{secret}", (StepKind.CLAIM, StepKind.PROMOTE)),
        Permission("read", f"{mount}/data/{record}", (*_RECORDED, StepKind.PROMOTE)),
        Permission("create", f"{mount}/data/{record}", (StepKind.CLAIM,)),
        Permission("update", f"{mount}/data/{record}", _RECORDED),
        Permission("create", f"{mount}/metadata/{record}", (StepKind.CLAIM,)),
        Permission("update", f"{mount}/metadata/{record}", (StepKind.CLAIM,)),
        Permission("read", f"{mount}/metadata/{secret}", (StepKind.FORGET,)),
        Permission("update", f"{mount}/destroy/{secret}", (StepKind.FORGET,)),
    )


def capabilities(client: "Client", paths: list[str]) -> Mapping[str, frozenset[str]]:
    """Ask the server which capabilities the client's login has on each path."""
    answer: Any = client.adapter.post("/v1/sys/capabilities-self", json={"paths": paths})
    return {path: frozenset(answer["data"][path]) for path in paths}
