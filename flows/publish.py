"""Publishing: from policies in git to the blocks that flows take, all checked before the first is saved.

A block document keeps its id when it is saved again: deployments and run forms point at it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from blocks.estate.paging import Row, read_all, request
from blocks.policies.interface import Policy
from blocks.policies.loader import Loaded, LoadedPolicy
from flows import exclusion
from flows.ownership import refuse_shared
from rules.errors import BadInputError, PermanentError, TemporaryError, VigilesError

FLOWS = {
    "RotationPolicy": "rotate-secrets",
    "PlacementPolicy": "verify-placement",
    "RetentionPolicy": "enforce-retention",
    "AccessPolicy": "report-rbac-drift",
}
"""The flow that takes a policy, by the policy's kind."""

_LIMITS = "/v2/concurrency_limits/"
_T = TypeVar("_T")


class Saved(StrEnum):
    """What publishing did to one policy."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Published:
    """One policy, and what became of it.

    Attributes:
        path: the file it came from.
        slug: its block, as ``type-slug/name``.
        saved: what was done.
        changed: what differed on the server: top-level keys of the policy, or ``concurrency limit``.
        digest: the digest of what is on the server now.
    """

    path: Path
    slug: str
    saved: Saved
    changed: tuple[str, ...]
    digest: str

    def __str__(self) -> str:
        return f"{self.saved} {self.slug}" + (f" ({', '.join(self.changed)})" if self.changed else "")


def publish_policies(loaded: Loaded) -> list[Published]:
    """Save policies as blocks of the server that Prefect's settings name; the same again changes nothing.

    Args:
        loaded: what ``load_policies`` returned.

    Returns:
        What became of each policy, in their order.

    Raises:
        BadInputError: if anything is wrong with any policy or with a block that it names; nothing was saved.
        TemporaryError: if the server does not answer.
        PermanentError: if it refuses, or does not give back what was saved.
    """
    check_policies(loaded)
    published: list[Published] = []
    with get_client(sync_client=True) as client:
        for policy_class in dict.fromkeys(type(entry.policy) for entry in loaded.policies):
            _asked(policy_class.register_type_and_schema)
        for entry in loaded.policies:
            try:
                published.append(_publish(client, entry))
            except VigilesError as error:
                done = ", ".join(str(one) for one in published) or "nothing"
                raise type(error)(
                    f"{slug_of(entry.policy)}: {error.message} Before it: {done}.", error.advice
                ) from None
    return published


def check_policies(loaded: Loaded) -> None:
    """Check everything that publishing would, and save nothing.

    Args:
        loaded: what ``load_policies`` returned.

    Raises:
        BadInputError: if anything is wrong with any policy or with a block that it names.
        TemporaryError: if the server does not answer.
    """
    _refuse_problems(loaded)
    with get_client(sync_client=True) as client:
        _refuse_missing_blocks(client, loaded.policies)
        refuse_shared(client, loaded.policies)


def ensure_limit(client: SyncPrefectClient, policy: Policy) -> bool:
    """Make the concurrency limit that keeps two enforcing runs of a policy apart; return whether it was not so before.

    Raises:
        TemporaryError: if the server does not answer.
        PermanentError: if it refuses.
    """
    name = limit_name(policy)
    try:
        found = _asked(lambda: client.read_global_concurrency_limit_by_name(name))
    except ObjectNotFound:
        try:
            request(client, "POST", _LIMITS, {"name": name, "limit": 1, "active": True})
        except PermanentError as error:
            # 409: another publisher made it meanwhile.
            if " 409 " not in error.message:
                raise
        return True
    if found.limit == 1 and found.active:
        return False
    request(client, "PATCH", f"{_LIMITS}{found.id}", {"limit": 1, "active": True})
    return True


def limit_name(policy: Policy) -> str:
    """Return the name of the concurrency limit that enforcing runs of a policy take."""
    kind = type(policy).__name__
    return exclusion.limit_name(FLOWS.get(kind, policy.get_block_type_slug()), policy.name)


def slug_of(policy: Policy) -> str:
    """Return the block of a policy as ``type-slug/name``."""
    return f"{policy.get_block_type_slug()}/{policy.name}"


def _refuse_problems(loaded: Loaded) -> None:
    if loaded.errors:
        lines = "\n".join(str(problem) for problem in loaded.errors)
        raise BadInputError(f"Nothing was published:\n{lines}")
    if not loaded.policies:
        raise BadInputError("Nothing was published: there is no policy.", "Name a policy file or a folder of them.")


def _refuse_missing_blocks(client: SyncPrefectClient, policies: Sequence[LoadedPolicy]) -> None:
    """Refuse references to blocks that are not there: deploying accepts them, and the run would fail."""
    wanted = [(entry, slug) for entry in policies for slug in _references(entry.policy)]
    names = sorted({slug.partition("/")[2] for _, slug in wanted})
    types = _types_by_name(client, names) if names else {}
    lines = [
        f"{entry.path}: {_missing(slug, types)}"
        for entry, slug in wanted
        if slug.partition("/")[0] not in types.get(slug.partition("/")[2], ())
    ]
    if lines:
        raise BadInputError(
            "Nothing was published:\n" + "\n".join(lines),
            "Save the missing blocks first, in the Prefect UI or from Python, or correct their names.",
        )


def _references(policy: Policy) -> Iterable[str]:
    offer: Callable[[], Sequence[str]] | None = getattr(policy, "references", None)
    return dict.fromkeys(offer()) if callable(offer) else ()


def _types_by_name(client: SyncPrefectClient, names: Sequence[str]) -> dict[str, list[str]]:
    body = {
        "block_documents": {"name": {"any_": list(names)}, "is_anonymous": {"eq_": False}},
        "include_secrets": False,
    }
    types: dict[str, list[str]] = {}
    for row in read_all(client, "/block_documents/filter", body):
        types.setdefault(row["name"], []).append(row["block_type"]["slug"])
    return types


def _missing(slug: str, types: Mapping[str, list[str]]) -> str:
    block_type, _, name = slug.partition("/")
    if not name:
        return f"{slug} is no block: write type-slug/name."
    others = ", ".join(f"{other}/{name}" for other in sorted(types.get(name, ())))
    return f"the block {block_type}/{name} does not exist" + (f"; there is {others}." if others else ".")


def _publish(client: SyncPrefectClient, entry: LoadedPolicy) -> Published:
    policy = entry.policy
    data = policy.document()
    before = _document(client, policy)
    changed = _changed(before["data"], data) if before is not None else ()
    if before is None:
        _create(client, policy)
    elif changed:
        # The first also moves the document to the model's present schema, but keeps keys that the policy has no more.
        _asked(lambda: policy.save(policy.name, overwrite=True))
        request(client, "PATCH", f"/block_documents/{before['id']}", {"data": data, "merge_existing_data": False})
    limited = ensure_limit(client, policy)
    _verify(client, policy, before)
    if before is None:
        return Published(entry.path, slug_of(policy), Saved.CREATED, (), policy.digest)
    changed = (*changed, "concurrency limit") if limited else changed
    return Published(entry.path, slug_of(policy), Saved.UPDATED if changed else Saved.UNCHANGED, changed, policy.digest)


def _create(client: SyncPrefectClient, policy: Policy) -> None:
    try:
        _asked(lambda: policy.save(policy.name))
    except ValueError:
        # Prefect says so where the name is taken, and also where something else is wrong.
        if _document(client, policy) is None:
            raise
        raise TemporaryError("The block was created meanwhile.", "Publish again.") from None


def _document(client: SyncPrefectClient, policy: Policy) -> Row | None:
    body = {
        "block_types": {"slug": {"any_": [policy.get_block_type_slug()]}},
        "block_documents": {"name": {"any_": [policy.name]}, "is_anonymous": {"eq_": False}},
        "include_secrets": True,
    }
    return next(read_all(client, "/block_documents/filter", body), None)


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the top-level keys that differ; the digest only if nothing else explains it."""
    old, new = _without_empty(before), _without_empty(after)
    keys = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    return tuple(key for key in keys if key != "digest") or tuple(keys)


def _without_empty(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document without its empty mappings, which Prefect's server does not keep."""
    kept = {key: _without_empty(inner) if isinstance(inner, dict) else inner for key, inner in value.items()}
    return {key: inner for key, inner in kept.items() if inner != {}}


def _verify(client: SyncPrefectClient, policy: Policy, before: Row | None) -> None:
    stored = _document(client, policy)
    if stored is None or (before is not None and stored["id"] != before["id"]):
        raise TemporaryError("The block was replaced while it was being published.", "Publish again.")
    data = dict(stored["data"])
    try:
        known = data.keys() <= policy.document().keys()
        intact = known and type(policy)(**data).compute_digest() == policy.digest == data.get("digest")
    except ValueError:
        intact = False
    if not intact:
        raise PermanentError("The server does not give back what was saved.", "Look at the block in the Prefect UI.")


def _asked(call: Callable[[], _T]) -> _T:
    """Return what a method of Prefect's own client returns, its errors turned into ours."""
    try:
        return call()
    except (PrefectHTTPStatusError, httpx.HTTPStatusError) as error:
        status = error.response.status_code
        if status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise TemporaryError(f"Prefect's API answered {status}.", "Look at the server's log.") from None
        raise PermanentError(f"Prefect's API answered {status}.", "Check credentials and versions.") from None
    except (httpx.HTTPError, OSError) as error:
        problem = f"Prefect's API did not answer ({type(error).__name__})."
        raise TemporaryError(problem, "Check that the server runs and can be reached.") from None
