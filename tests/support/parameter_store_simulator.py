"""A simulator of AWS's Parameter Store: in memory, behind boto3's own client, as strict as AWS's reference says.

The client is an unmodified one (it checks every argument and makes every exception itself); only what it would send is
answered here. Where the reference leaves room, the answer is the one that is harder on the caller.
"""

import json
import re
from dataclasses import dataclass, field
from functools import cache
from threading import Lock
from types import SimpleNamespace
from typing import Any

REGION = "eu-central-1"
DEFAULT_KEY = "alias/aws/ssm"
VERSIONS = 100


class RefusalError(Exception):
    """An answer with an error code."""


@dataclass
class Parameter:
    """A parameter: its settings, and its versions by number."""

    kind: str
    tier: str = "Standard"
    key: str | None = None
    description: str | None = None
    pattern: str | None = None
    newest: int = 0
    values: dict[int, str] = field(default_factory=dict)
    labels: dict[int, list[str]] = field(default_factory=dict)

    def shown(self, name: str, version: int | None = None) -> dict[str, Any]:
        """Return what reading calls show."""
        version = version or self.newest
        return {"Name": name, "Type": self.kind, "Value": self.values[version], "Version": version, "DataType": "text"}

    def about(self, name: str) -> dict[str, Any]:
        """Return what is told besides the value."""
        rows = {"KeyId": self.key, "Description": self.description, "AllowedPattern": self.pattern}
        told = {key: value for key, value in rows.items() if value is not None}
        return {"Name": name, "Type": self.kind, "Version": self.newest, "Tier": self.tier, "DataType": "text", **told}


class ParameterStoreSimulator:
    """The parameters of one account and region."""

    def __init__(self) -> None:
        self.parameters: dict[str, Parameter] = {}
        self._lock = Lock()

    def client(self, *, allowed: bool = True) -> Any:
        """Return a boto3 client whose calls are answered here."""
        client = _session().client("ssm")

        def answer(model: Any, params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
            try:
                with self._lock:
                    found = getattr(self, f"_{model.name}" if allowed else "_deny")(**json.loads(params["body"]))
            except RefusalError as error:
                refused = {"Error": {"Code": str(error), "Message": "refused"}}
                return SimpleNamespace(status_code=400), {**refused, "ResponseMetadata": {"HTTPStatusCode": 400}}
            return SimpleNamespace(status_code=200), found

        client.meta.events.register("before-call.ssm", answer)
        return client

    def _deny(self, **_: Any) -> dict[str, Any]:
        raise RefusalError("AccessDeniedException")

    def _GetParameter(self, Name: str, WithDecryption: bool) -> dict[str, Any]:  # noqa: N802, N803
        if Name not in self.parameters:
            raise RefusalError("ParameterNotFound")
        row = self.parameters[Name].shown(Name)
        if not WithDecryption and row["Type"] == "SecureString":
            row["Value"] = "encrypted"
        return {"Parameter": row}

    def _GetParametersByPath(  # noqa: N802
        self,
        Path: str,  # noqa: N803
        Recursive: bool,  # noqa: N803
        WithDecryption: bool,  # noqa: N803
        MaxResults: int = 10,  # noqa: N803
        NextToken: str = "0",  # noqa: N803
    ) -> dict[str, Any]:
        if not 1 <= MaxResults <= 10:
            raise RefusalError("ValidationException")
        below = Path.rstrip("/") + "/"
        names = [
            n for n in sorted(self.parameters) if n.startswith(below) and (Recursive or "/" not in n[len(below) :])
        ]
        # The documented freedom: a page may hold fewer than were asked for, even none, and say that more follow.
        start, end = int(NextToken), int(NextToken) + max(1, MaxResults // 4)
        rows = [self.parameters[n].shown(n) for n in names[start:end]]
        return {"Parameters": rows} | ({"NextToken": str(end)} if names[start:] else {})

    def _DescribeParameters(self, ParameterFilters: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N802, N803
        names = [value for row in ParameterFilters for value in row["Values"]]
        return {"Parameters": [self.parameters[n].about(n) for n in names if n in self.parameters]}

    def _GetParameterHistory(self, Name: str, MaxResults: int, NextToken: str = "0") -> dict[str, Any]:  # noqa: N802, N803
        parameter = self._found(Name)
        numbers, start = sorted(parameter.values), int(NextToken)
        rows = [
            parameter.shown(Name, n) | {"Labels": parameter.labels.get(n, [])}
            for n in numbers[start : start + MaxResults]
        ]
        more = {"NextToken": str(start + MaxResults)} if numbers[start + MaxResults :] else {}
        return {"Parameters": rows, **more}

    def _DeleteParameters(self, Names: list[str]) -> dict[str, Any]:  # noqa: N802, N803
        if not 1 <= len(Names) <= 10:
            raise RefusalError("ValidationException")
        gone = [name for name in Names if self.parameters.pop(name, None)]
        return {"DeletedParameters": gone, "InvalidParameters": [name for name in Names if name not in gone]}

    def _LabelParameterVersion(self, Name: str, ParameterVersion: int, Labels: list[str]) -> dict[str, Any]:  # noqa: N802, N803
        parameter = self._found(Name)
        kept = {n: [label for label in labels if label not in Labels] for n, labels in parameter.labels.items()}
        parameter.labels = kept | {ParameterVersion: [*kept.get(ParameterVersion, []), *Labels]}
        return {"InvalidLabels": [], "ParameterVersion": ParameterVersion}

    def _PutParameter(self, Name: str, Value: str, Overwrite: bool = False, **fields: Any) -> dict[str, Any]:  # noqa: N802, N803
        _check_name(Name)
        before = self.parameters.get(Name)
        if before is not None and not Overwrite:
            raise RefusalError("ParameterAlreadyExists")
        if before is None and "Type" not in fields:
            raise RefusalError("ValidationException")
        parameter = before or Parameter(fields["Type"])
        if fields.get("Type", parameter.kind) != parameter.kind:
            raise RefusalError("HierarchyTypeMismatchException")
        tier = _checked_tier(parameter, Value, fields.get("Tier", "Standard"))
        self._make_room(parameter)
        parameter.pattern = fields.get("AllowedPattern", parameter.pattern)
        if parameter.pattern and not re.search(parameter.pattern, Value):
            raise RefusalError("ParameterPatternMismatchException")
        if "KeyId" in fields and parameter.kind != "SecureString":
            raise RefusalError("ValidationException")
        # "If you don't specify a key ID, the system uses the default key."
        parameter.key = fields.get("KeyId", DEFAULT_KEY) if parameter.kind == "SecureString" else None
        parameter.description = fields.get("Description", parameter.description)
        parameter.tier = tier
        parameter.newest += 1
        parameter.values[parameter.newest] = Value
        self.parameters[Name] = parameter
        return {"Version": parameter.newest, "Tier": tier}

    def _make_room(self, parameter: Parameter) -> None:
        if len(parameter.values) >= VERSIONS:
            oldest = min(parameter.values)
            if parameter.labels.get(oldest):
                raise RefusalError("ParameterMaxVersionLimitExceeded")
            del parameter.values[oldest]

    def _found(self, name: str) -> Parameter:
        if name not in self.parameters:
            raise RefusalError("ParameterNotFound")
        return self.parameters[name]


@cache
def _session() -> Any:
    """Return one session: it reads the large description of the service once."""
    import boto3

    return boto3.Session(aws_access_key_id="simulated", aws_secret_access_key="simulated", region_name=REGION)


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-zA-Z0-9_.\-/]{1,1011}", name) or re.match(r"/?(aws|ssm)", name, re.IGNORECASE):
        raise RefusalError("ValidationException")
    if name.count("/") > 15:
        raise RefusalError("HierarchyLevelLimitExceededException")
    if "/" in name and not name.startswith("/"):
        raise RefusalError("ValidationException")


def _checked_tier(parameter: Parameter, value: str, tier: str) -> str:
    size = len(value.encode())
    if not value or re.search(r"\{\{.*\}\}", value):
        raise RefusalError("ValidationException")
    if tier == "Intelligent-Tiering":
        tier = "Advanced" if size > 4096 or parameter.tier == "Advanced" else "Standard"
    if size > {"Standard": 4096, "Advanced": 8192}[tier] or (parameter.tier, tier) == ("Advanced", "Standard"):
        raise RefusalError("ValidationException")
    return tier
