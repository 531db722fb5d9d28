"""One rotation policy owns a secret, and one an account: two that rotate the same lock each other out.

Their runs hold leases of their own, so nothing but this keeps them apart. It is checked when a policy is published,
against those that are published with it and those that are on the server.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from prefect.client.orchestration import SyncPrefectClient

from blocks.estate.paging import read_all
from blocks.policies.loader import LoadedPolicy
from blocks.policies.rotation import RotationPolicy
from rules.errors import BadInputError

_TYPE = RotationPolicy.get_block_type_slug()


def refuse_shared(client: SyncPrefectClient, policies: Sequence[LoadedPolicy]) -> None:
    """Refuse rotation policies of which two would change the same thing.

    Args:
        client: of the Prefect server.
        policies: what is about to be published.

    Raises:
        BadInputError: if two name the same secret of a store, or the same target.
        TemporaryError, PermanentError: if the server cannot tell what is published.
    """
    ours = {e.policy.name: e.policy.document() for e in policies if isinstance(e.policy, RotationPolicy)}
    if not ours:
        return
    owners: dict[str, str] = {}
    documents = [*((name, data) for name, data in _published(client) if name not in ours), *ours.items()]
    lines = [line for name, document in documents for line in _clashes(name, document, owners)]
    if lines:
        raise BadInputError(
            "Nothing was published:\n" + "\n".join(lines),
            "Keep each secret and each target in one policy; to move one, publish the policy that gives it up first.",
        )


def _published(client: SyncPrefectClient) -> Iterator[tuple[str, Mapping[str, Any]]]:
    body = {
        "block_documents": {"is_anonymous": {"eq_": False}},
        "block_types": {"slug": {"any_": [_TYPE]}},
        "include_secrets": False,
    }
    return ((row["name"], row["data"]) for row in read_all(client, "/block_documents/filter", body))


def _clashes(name: str, document: Mapping[str, Any], owners: dict[str, str]) -> Iterator[str]:
    for secret in document.get("secrets", ()):
        for thing in _owned(secret):
            owner = owners.setdefault(thing, name)
            if owner != name:
                yield f"policy {name}, secret {secret.get('name')}: policy {owner} changes {thing} too."


def _owned(secret: Mapping[str, Any]) -> Iterable[str]:
    store, path = secret.get("store"), (secret.get("path") or "").strip("/")
    keys = [secret.get("key"), *(secret.get("keys") or secret.get("pair") or {}).values()]
    names = [path] if path else [key for key in keys if key]
    target = secret.get("target")
    return [*(f"{name} in {store}" for name in names), *([f"target {target}"] if target else ())]
