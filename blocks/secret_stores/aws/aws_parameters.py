"""Calls of AWS's Parameter Store, one function each, and the figures and names that it sets."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from blocks.secret_stores.aws import aws_session
from rules.errors import PermanentError

RECORDS = "/vigiles"
"""Root of the records: apart from the secrets, so that who reads those by path does not get a pending value."""

VERSIONS = 100
"""Versions of a parameter that the service keeps."""

PAGE = 10
"""Parameters that one call lists or deletes at the most."""

LIMITS = {"Standard": 4096, "Advanced": 8192}
"""Bytes of a parameter of each tier."""


def read(client: Any, name: str) -> Any:
    """Return the newest version of a parameter, decrypted, or None where there is no such parameter."""
    answer = _unless("ParameterNotFound", lambda: client.get_parameter(Name=name, WithDecryption=True))
    return answer and answer["Parameter"]


def describe(client: Any, name: str) -> Mapping[str, Any]:
    """Return what the service says of a parameter besides its value; empty where there is no such parameter."""
    only = [{"Key": "Name", "Option": "Equals", "Values": [name]}]
    found: Sequence[Mapping[str, Any]] = client.describe_parameters(ParameterFilters=only)["Parameters"]
    return next(iter(found), {})


def list_below(client: Any, path: str, after: str | None) -> Any:
    """Return one page of the parameters just below a path, decrypted; ``after`` is the token of the page before."""
    token = {"NextToken": after} if after else {}
    return client.get_parameters_by_path(Path=path, Recursive=False, WithDecryption=True, MaxResults=PAGE, **token)


def list_versions(client: Any, name: str, after: str | None) -> Any:
    """Return one page of a parameter's versions; ``after`` is the token of the page before."""
    token = {"NextToken": after} if after else {}
    return client.get_parameter_history(Name=name, MaxResults=50, **token)


def write(client: Any, name: str, text: str, fields: Mapping[str, Any]) -> int | None:
    """Return the parameter's new version, or None where it exists and must not."""
    answer = _unless("ParameterAlreadyExists", lambda: client.put_parameter(Name=name, Value=text, **fields))
    return None if answer is None else int(answer["Version"])


def checked_fields(name: str, found: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Return tier and key that a parameter has and keeps, after holding a text against its limits.

    Args:
        name: of the parameter.
        found: what ``describe`` returned.
        text: what is going to be written.

    Raises:
        PermanentError: if the service would refuse it.
    """
    tier = found.get("Tier") or "Standard"
    if len(text.encode()) > LIMITS.get(tier, LIMITS["Standard"]):
        advice = "Shorten it, or change the parameter to the advanced tier, which is paid."
        raise PermanentError(f"{name} would be larger than its tier ({tier}) allows.", advice)
    if not _may_match(found.get("AllowedPattern"), text):
        advice = "Let a value be generated that matches, or change the pattern."
        raise PermanentError(f"The new text of {name} does not match its AllowedPattern.", advice)
    key = {"KeyId": found["KeyId"]} if found.get("Type") == "SecureString" and found.get("KeyId") else {}
    return {"Overwrite": True, "Tier": tier, **key}


def label_in_the_way(name: str) -> PermanentError:
    """Return the error for a parameter whose oldest version cannot make room."""
    return PermanentError(
        f"The oldest of the {VERSIONS} versions of {name} has a label, so that the service takes no new one.",
        "Move the label to a newer version: aws ssm label-parameter-version.",
    )


def check_name(name: str) -> None:
    """Check that a name can be that of a secret.

    Raises:
        PermanentError: if it cannot.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.\-/]+", name) or f"{name}/".startswith(f"{RECORDS}/"):
        advice = f"Give the policy `path`: a parameter's name, such as /prod/db, not under {RECORDS} and no ARN."
        raise PermanentError(f"{name or 'An empty name'} cannot be a parameter to rotate.", advice)


def _unless(code: str, request: Callable[[], Any]) -> Any:
    try:
        return request()
    except Exception as error:
        if aws_session.error_code(error) != code:
            raise
    return None


def _may_match(pattern: str | None, text: str) -> bool:
    try:
        return not pattern or re.search(pattern, text) is not None
    except re.error:
        # Another dialect of regular expressions: only the service can tell.
        return True
