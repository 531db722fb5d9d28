"""Who may do what: what a directory showed, held against the policy; on a self-hosted server, how it is guarded.

A check that could not be made is an ``error``. Where that is known and accepted, the policy says so under
``not_checkable``, with owner, reason and expiry: the finding is then ``skipped`` with all three shown. Such an entry
never hides what was seen: a check that fails stays failed, and once it has expired the ``error`` is back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Protocol

from rules.advisories import CLIENT_ADVISORIES, SERVER_ADVISORIES, client_advisories, server_advisories
from rules.findings import Finding, Rule, Severity, Status, Subject
from rules.posture import authentication, browsers, exposure, server
from rules.posture.observations import Posture, Unseen

ACCESS_OBSERVED = Rule(
    id="access-observed",
    severity=Severity.HIGH,
    title="The directory shows who may do what, or how the server is guarded",
    remedy="Check the policy's `directory` and the block that it names.",
)

CHECKS = (
    server.rbac,
    authentication.auth_required,
    authentication.wrong_credential,
    authentication.empty_credential,
    authentication.non_ascii_credential,
    authentication.every_path,
    authentication.websockets,
    browsers.csrf_protection,
    browsers.cors_restricted,
    exposure.tls_in_front,
    exposure.schema_private,
    exposure.ui_settings_private,
    exposure.headers_masked,
    exposure.encryption_key,
)
"""The checks of a self-hosted server that give one finding each."""

DECLARABLE = frozenset(
    rule.id
    for rule in (
        server.RBAC_NOT_AVAILABLE,
        authentication.AUTH_REQUIRED,
        authentication.WRONG_CREDENTIAL,
        authentication.EMPTY_CREDENTIAL,
        authentication.NON_ASCII_CREDENTIAL,
        authentication.AUTH_COVERS_EVERY_PATH,
        authentication.WEBSOCKET_AUTH,
        browsers.CSRF_PROTECTION,
        browsers.CORS_RESTRICTED,
        exposure.TLS_IN_FRONT,
        exposure.SCHEMA_PRIVATE,
        exposure.UI_SETTINGS_PRIVATE,
        exposure.HEADERS_MASKED,
        exposure.ENCRYPTION_KEY,
        SERVER_ADVISORIES,
        CLIENT_ADVISORIES,
    )
)
"""The ids that ``not_checkable`` may name. Not among them: that the directory and its server were seen at all."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a directory showed. A directory that knows roles will add its grants as a further field.

    Attributes:
        place: the server or account as the subject of findings.
        posture: how a self-hosted server is guarded, or why that could not be seen.
    """

    place: Subject
    posture: Posture | Unseen


class NotCheckable(Protocol):
    """What the rules need to know of one check that the policy declares out of reach."""

    @property
    def check(self) -> str:
        """The id of the rule."""

    @property
    def owner(self) -> str:
        """Who accepts that it is not checked."""

    @property
    def reason(self) -> str:
        """Why it cannot be checked from here."""

    @property
    def expires(self) -> date:
        """The last day (UTC) on which that holds."""


class AccessWish(Protocol):
    """What the rules need to know of an access policy."""

    @property
    def not_checkable(self) -> Sequence[NotCheckable]:
        """The checks that cannot be made from where the flow runs."""


def judge_access(access: Access, policy: AccessWish, now: datetime) -> tuple[Finding, ...]:
    """Return what is to be said of the access that was observed.

    Args:
        access: what the directory showed.
        policy: the access policy.
        now: the one instant of the run (aware, UTC).
    """
    if isinstance(access.posture, Unseen):
        return (ACCESS_OBSERVED.unchecked(access.place, f"Nothing was checked: {access.posture.reason}."),)
    posture = access.posture
    findings = (
        *(check(posture) for check in CHECKS),
        *server_advisories(posture),
        *client_advisories(posture),
    )
    judged = (_declared(finding, policy.not_checkable, now.date()) for finding in findings)
    return (server.server_answers(posture), *judged)


def _declared(finding: Finding, entries: Sequence[NotCheckable], today: date) -> Finding:
    entry = next((e for e in entries if e.check == finding.rule), None)
    if finding.status is not Status.ERROR or entry is None:
        return finding
    if entry.expires < today:
        note = f"{finding.message} Its entry under `not_checkable` (of {entry.owner}) expired on {entry.expires}."
        return replace(finding, message=note)
    accepted = f"Not checkable, accepted by {entry.owner} until {entry.expires}: {entry.reason.rstrip('.')}."
    return replace(finding, status=Status.SKIPPED, message=f"{accepted} {finding.message}", remedy="")
