"""An IAM user on moto's server, and a target over it that is as strict as AWS about keys that are not active."""

import uuid
from dataclasses import dataclass, field
from typing import Any

from support.moto import REGION, Key, Moto
from support.secrets_manager import refusal

from blocks.rotation_targets.aws_iam_user import AwsIamUser


@dataclass
class Propagation:
    """How AWS's places learn what became of a key.

    Attributes:
        accepted_after: how often STS refuses a new key before it knows it.
        refused_after: how often STS accepts a deactivated or deleted key before it knows that.
        asked: how often STS was asked with each key, by what is true of it.
    """

    accepted_after: int = 0
    refused_after: int = 0
    asked: dict[tuple[str, bool], int] = field(default_factory=dict)


class StrictSts:
    """A client of moto's STS that refuses inactive keys, which moto accepts, and that learns with delay."""

    def __init__(self, sts: Any, iam: Any, user: str, key: str, propagation: Propagation) -> None:
        self._sts, self._iam, self._user, self._key = sts, iam, user, key
        self._propagation = propagation

    def get_caller_identity(self) -> dict[str, Any]:
        """Say who calls."""
        listed = self._iam.list_access_keys(UserName=self._user)["AccessKeyMetadata"]
        active = any(row["AccessKeyId"] == self._key and row["Status"] == "Active" for row in listed)
        place = (self._key, active)
        asked = self._propagation.asked[place] = self._propagation.asked.get(place, 0) + 1
        if active and asked <= self._propagation.accepted_after:
            raise refusal("InvalidClientTokenId", "The security token is invalid.", "GetCallerIdentity", 403)
        if not active and asked <= self._propagation.refused_after:
            return {"Arn": f"arn:aws:iam::123456789012:user/{self._user}"}
        if not active:
            raise refusal("InvalidClientTokenId", "The security token is invalid.", "GetCallerIdentity", 403)
        answer: dict[str, Any] = self._sts.get_caller_identity()
        return answer


class StrictUser:
    """A new user with one key, and what consumers and operators do to it."""

    def __init__(self, moto: Moto) -> None:
        self.moto = moto
        self.name = f"app-{uuid.uuid4().hex[:8]}"
        self.iam = moto.client("iam")
        self.iam.create_user(UserName=self.name)
        self.key = self.create_key()
        self.propagation = Propagation()

    def create_key(self) -> Key:
        """Create a key as an operator does."""
        made = self.iam.create_access_key(UserName=self.name)["AccessKey"]
        return Key(made["AccessKeyId"], made["SecretAccessKey"], self.name)

    def statuses(self) -> dict[str, str]:
        """Return the status of each key."""
        listed = self.iam.list_access_keys(UserName=self.name)["AccessKeyMetadata"]
        return {row["AccessKeyId"]: row["Status"] for row in listed}

    def target(self, key: Key | None = None, **fields: Any) -> AwsIamUser:
        """Return a block that asks with a key, by default the administrator's."""
        made = AwsIamUser(
            **{"aws_credentials": "aws-credentials/iam", "user_name": self.name, "propagation_seconds": 60}
            | {"region_name": REGION, "endpoint_url": self.moto.url}
            | fields
        )
        made._clients |= {service: self.moto.client(service, key or self.moto.admin) for service in ("iam", "sts")}
        sts_with = made._sts_with

        def strict(asking: str, secret: Any) -> StrictSts:
            return StrictSts(sts_with(asking, secret), self.iam, self.name, asking, self.propagation)

        object.__setattr__(made, "_sts_with", strict)
        return made
