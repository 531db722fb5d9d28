"""The calls that a rotation makes to Secrets Manager, one by one, and what is remembered of their answers."""

from abc import ABC
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field, PrivateAttr, field_validator

from blocks.policies.interface import policy_error
from blocks.secret_stores import document
from blocks.secret_stores.aws import aws_labels, aws_secrets, aws_session
from blocks.secret_stores.aws.aws_labels import Labels, Note
from blocks.secret_stores.interface import SecretAddress, SecretStore, StoreState, SupersededError, VersionGoneError
from rules.errors import PermanentError, VigilesError

_POINTERS = {aws_labels.CURRENT, aws_labels.PENDING, aws_labels.PREVIOUS}


@dataclass(slots=True, repr=False)
class Known:
    """What was last seen of a secret. Labels are a hint that saves reads; what a version holds never changes.

    Attributes:
        labels: as they were after the last call.
        note: id and content of the last journal's version that was read or put.
        text: id and text of the current version that was last read, until another one is staged over it.
        consumed: the version that consumers read, if that was asked by the last call.
        kept: a version without a label, and whether AWS still had it since the labels were last read.
        alike: two versions, and whether account and value are the same in both.
    """

    labels: Labels | None = None
    note: tuple[str, Note] | None = None
    text: tuple[str, str] | None = None
    consumed: str | None = None
    kept: tuple[str, bool] | None = None
    alike: tuple[set[str], bool] | None = None


class AwsSecretCalls(SecretStore, ABC):
    """A secret store that can call Secrets Manager."""

    credentials: str = Field(description="AWS Credentials block of prefect-aws, such as aws-credentials/production.")
    region_name: str | None = Field(default=None, description="Region, if not that of the credentials block.")
    endpoint_url: str | None = Field(default=None, description="Address of the service, if not AWS's own.")
    _client: Any = PrivateAttr(default=None)
    _secrets: dict[str, Known] = PrivateAttr(default_factory=dict)

    @field_validator("credentials")
    @classmethod
    def _credentials_slug(cls, slug: str) -> str:
        if not slug.startswith("aws-credentials/") or slug == "aws-credentials/":
            advice = "Save them as an AWS Credentials block first."
            raise policy_error("P077", "the credentials are named as aws-credentials/NAME", advice)
        return slug

    def _translated(self, operation: str, error: Exception) -> VigilesError:
        return aws_secrets.translated(operation, error)

    def _service(self) -> Any:
        with aws_session.LOCK:
            if self._client is None:
                self._client = aws_session.make_client(
                    "secretsmanager", self.credentials, self.region_name, self.endpoint_url
                )
            return self._client

    def _known(self, address: SecretAddress) -> Known:
        return self._secrets.setdefault(address.secret, Known())

    def _describe(self, address: SecretAddress) -> Mapping[str, Any]:
        client = self._service()
        name = address.secret
        answer: Mapping[str, Any] = self._call(f"DescribeSecret {name}", lambda: client.describe_secret(SecretId=name))
        aws_secrets.check_alive(address, answer)
        return answer

    def _described(self, address: SecretAddress) -> Labels:
        labels = aws_labels.labels_of(self._describe(address))
        self._known(address).kept = None
        self._remember(address, labels)
        return labels

    def _fenced(self, address: SecretAddress, epoch: int) -> Labels:
        labels = self._described(address)
        if labels.epoch != epoch:
            message = f"{address} is at epoch {labels.epoch}, this run holds {epoch}."
            raise SupersededError(message, "Another run works on it; run again when it has ended.")
        return labels

    def _remember(self, address: SecretAddress, labels: Labels) -> None:
        known = self._known(address)
        known.labels, known.consumed = labels, None

    def _became(self, address: SecretAddress, labels: Labels) -> StoreState:
        self._remember(address, labels)
        return self._state(address, labels)

    def _state(self, address: SecretAddress, labels: Labels) -> StoreState:
        state = labels.state(self._note(address, labels))
        journal, current = state.journal, state.current
        others = current is not None and journal.pending is not None and current not in {journal.pending, journal.base}
        if others and self._alike(address, str(current), str(journal.pending)):
            # Somebody has changed another field of what was promoted: theirs is what is promoted now.
            state = replace(state, pending=current, previous=journal.base, journal=replace(journal, pending=current))
        if state.previous is None or state.previous in labels.holders.values() or self._kept(address, state.previous):
            return state
        # AWS has purged it: nobody can retire it any more, and waiting for it would end no rotation.
        return replace(state, previous=None)

    def _kept(self, address: SecretAddress, version: str) -> bool:
        known = self._known(address)
        if known.kept is None or known.kept[0] != version:
            known.kept = (version, self._is_there(address, version))
        return known.kept[1]

    def _is_there(self, address: SecretAddress, version: str) -> bool:
        try:
            return aws_secrets.is_version(version) and bool(self._get(address, version))
        except VersionGoneError:
            return False

    def _alike(self, address: SecretAddress, *versions: str) -> bool:
        known = self._known(address)
        if known.alike is None or known.alike[0] != set(versions):
            pairs = [self._pair(address, version) for version in versions]
            known.alike = (set(versions), pairs[0] is not None and pairs[0] == pairs[1])
        return known.alike[1]

    def _pair(self, address: SecretAddress, version: str) -> document.Pair | None:
        if not aws_secrets.is_version(version):
            return None
        try:
            answer = self._get(address, version)
        except VersionGoneError:
            return None
        with suppress(PermanentError):
            return document.read_pair(_string(address, answer), address.username, address.password)
        return None

    def _note(self, address: SecretAddress, labels: Labels) -> Note | None:
        version, known = labels.holders.get(aws_labels.JOURNAL), self._known(address)
        if version is None:
            return None
        if known.note is None or known.note[0] != version:
            known.note = (version, aws_labels.note_from_text(_string(address, self._get(address, version))))
        return known.note[1]

    def _text(self, address: SecretAddress, version: str) -> str:
        """Return the text of a version that one of AWS's own labels is on, or that is to be retired."""
        known = self._known(address)
        if known.text is not None and known.text[0] == version:
            return known.text[1]
        answer = self._get(address, version)
        labelled = _POINTERS.intersection(answer.get("VersionStages") or ())
        if not labelled and version != self.observe(address).previous:
            raise VersionGoneError(f"Version {version} of {address} has no label any more.", "Run again.")
        return _string(address, answer)

    def _read_current(self, address: SecretAddress) -> tuple[str, str]:
        """Return id and text of what consumers read, by the call that they make."""
        client, name = self._service(), address.secret
        answer = self._call(f"GetSecretValue {name}", lambda: client.get_secret_value(SecretId=name))
        return str(answer["VersionId"]), _string(address, answer)

    def _get(self, address: SecretAddress, version: str) -> Mapping[str, Any]:
        client, name = self._service(), address.secret
        answer: Mapping[str, Any] = self._call(
            f"GetSecretValue {name} {version}", lambda: client.get_secret_value(SecretId=name, VersionId=version)
        )
        return answer

    def _put(self, address: SecretAddress, version: str, text: str, labels: Sequence[str]) -> None:
        client, name = self._service(), address.secret
        given = {"SecretId": name, "ClientRequestToken": version, "SecretString": text, "VersionStages": list(labels)}
        self._call(f"PutSecretValue {name} {version}", lambda: client.put_secret_value(**given))

    def _move(self, address: SecretAddress, label: str, *, to: str | None = None, away: str | None = None) -> None:
        client, name = self._service(), address.secret
        given = {"SecretId": name, "VersionStage": label}
        given |= {"MoveToVersionId": to} if to is not None else {}
        given |= {"RemoveFromVersionId": away} if away is not None else {}
        self._call(f"UpdateSecretVersionStage {name} {label}", lambda: client.update_secret_version_stage(**given))

    def _taken_off(self, address: SecretAddress, label: str, version: str) -> None:
        try:
            self._move(address, label, away=version)
        except aws_secrets.MovedError:
            return


def _string(address: SecretAddress, answer: Mapping[str, Any]) -> str:
    text = answer.get("SecretString")
    if text is None:
        advice = "Put it as SecretString: bytes that are no text cannot be rotated field by field."
        raise PermanentError(f"Secret {address} is binary.", advice)
    return str(text)
