"""Which policy a run takes: a file, or a published block by its name or slug."""

from pathlib import Path
from typing import cast

import httpx
from prefect.exceptions import PrefectHTTPStatusError

from blocks.policies.interface import Policy
from blocks.policies.kinds import KINDS
from blocks.policies.loader import load_policies
from flows.publish import FLOWS
from rules.errors import BadInputError, PermanentError, TemporaryError

_SUFFIXES = (".yaml", ".yml")


def chosen_policy(choice: str, flow: str) -> Policy:
    """Return the policy that a flow is to run with.

    Args:
        choice: a policy file, or the name or ``type-slug/name`` of a published policy block.
        flow: kebab-case name of the flow.

    Raises:
        BadInputError: if there is no such policy, it is not in order, or it is of another flow's kind.
        TemporaryError: if the server does not answer.
        PermanentError: if the block cannot be read as a policy.
    """
    if not choice:
        raise BadInputError("--policy is empty.", "Name a policy file, or a published policy block.")
    path = Path(choice)
    try:
        is_file = path.is_file()
    except OSError as error:
        raise BadInputError(f"--policy cannot be used: {error.strerror}.", "Name a policy file or block.") from None
    if choice.endswith(_SUFFIXES) or is_file:
        return _from_file(path, flow)
    return _from_server(choice, flow)


def _from_file(path: Path, flow: str) -> Policy:
    loaded = load_policies([path])
    if loaded.errors:
        lines = "\n".join(str(problem) for problem in loaded.errors)
        raise BadInputError(f"The policy is not in order:\n{lines}")
    if len(loaded.policies) != 1:
        raise BadInputError(f"{path} holds {len(loaded.policies)} policies.", "Name the file of one of them.")
    policy = loaded.policies[0].policy
    taken = FLOWS.get(type(policy).__name__)
    if taken != flow:
        raise BadInputError(f"{path} is a {type(policy).__name__}, which {flow} does not take.", f"{taken} does.")
    return policy


def _from_server(choice: str, flow: str) -> Policy:
    policy_class = next(KINDS[kind]() for kind, taken_by in FLOWS.items() if taken_by == flow)
    block_type, _, name = choice.rpartition("/")
    if block_type not in ("", _slug(policy_class)):
        raise BadInputError(f"{flow} takes a block of type {_slug(policy_class)}, not {block_type}.")
    slug = f"{_slug(policy_class)}/{name}"
    try:
        policy = policy_class.load(name)
    except (PrefectHTTPStatusError, httpx.HTTPError, OSError) as error:
        problem = f"The block {slug} could not be read ({type(error).__name__})."
        raise TemporaryError(problem, "Check that the server runs, can be reached and lets you in.") from None
    except (ValueError, RuntimeError) as error:
        if "Unable to find block document" in str(error):
            advice = "Publish it with `vigiles publish`, or name its file (ending in .yaml)."
            raise BadInputError(f"There is no block {slug} on this server.", advice) from None
        advice = "It was edited by hand or by another version: publish it again."
        raise PermanentError(f"The block {slug} is no policy that this version can read.", advice) from None
    return cast("Policy", policy)


def _slug(policy_class: type[Policy]) -> str:
    return policy_class.get_block_type_slug()
