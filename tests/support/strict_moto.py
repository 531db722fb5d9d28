"""A layer before moto's Secrets Manager that refuses what the service refuses and moto does not."""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, ClassVar

from support.secrets_manager import CAP, LARGEST, refusal


@dataclass
class Ledger:
    """What was put into moto's secrets, and which are going to be deleted: for what moto does not look at."""

    texts: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    deleted: set[str] = field(default_factory=set)

    def check(self, operation: str, given: dict[str, Any]) -> None:
        """Refuse what the service refuses."""
        name, token = given["SecretId"], given.get("ClientRequestToken")
        if name in self.deleted:
            message = "You can't perform this operation on the secret because it was marked for deletion."
            raise refusal("InvalidRequestException", message, operation)
        if token is None:
            return
        text, texts = given["SecretString"], self.texts[name]
        if not text or len(text.encode()) > LARGEST:
            raise refusal("InvalidParameterException", "The value has a wrong length.", operation)
        if texts.get(token, text) != text:
            raise refusal("ResourceExistsException", f"You can't use ClientRequestToken {token}.", operation)
        if token not in texts and len(texts) >= CAP:
            raise refusal("LimitExceededException", "The request failed: too many versions.", operation)


class StrictClient:
    """A client of moto's server that refuses what the service refuses and moto does not, in the service's words."""

    _lock: ClassVar[Any] = RLock()
    _writes: ClassVar[dict[str, str]] = {
        "put_secret_value": "PutSecretValue",
        "update_secret_version_stage": "UpdateSecretVersionStage",
    }

    def __init__(self, client: Any, ledger: Ledger) -> None:
        self._client = client
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        def called(**given: Any) -> Any:
            # The service does one thing after the other; moto's threads look first and write later.
            with self._lock:
                if name in self._writes:
                    self._ledger.check(self._writes[name], given)
                answer = self._asked(name, given)
                if "ClientRequestToken" in given:
                    self._ledger.texts[given["SecretId"]][given["ClientRequestToken"]] = given["SecretString"]
                return answer

        return called

    def _asked(self, name: str, given: dict[str, Any]) -> Any:
        from botocore.exceptions import ClientError

        if name == "get_secret_value" and "VersionId" not in given:
            # The service's default; moto's is whatever was put last without a label.
            given = {"VersionStage": "AWSCURRENT", **given}
        try:
            answer = getattr(self._client, name)(**given)
        except ClientError as error:
            if error.response["Error"]["Code"] != "403":
                raise
            # moto answers every protocol in IAM's XML.
            said = re.search("<Code>(.*?)</Code>", error.response["Error"]["Message"])
            codes = {"InvalidClientTokenId": "UnrecognizedClientException"}
            codes |= {"SignatureDoesNotMatch": "InvalidSignatureException", "AccessDenied": "AccessDeniedException"}
            raise refusal(codes[said[1] if said else ""], "not this one", error.operation_name) from None
        stages = answer.get("VersionIdsToStages")
        if stages is not None:
            answer["VersionIdsToStages"] = {version: labels for version, labels in stages.items() if labels}
        return answer
