"""The server itself: that it answers, that it has no roles, and what then stands between anybody and its secrets."""

from rules.findings import Finding, Rule, Severity
from rules.posture.observations import Posture, Unseen, unchecked

SERVER_ANSWERS = Rule(
    id="server-answers",
    severity=Severity.HIGH,
    title="The server answers as a Prefect server",
    remedy="Check the directory's `api_url`, and that the server runs and can be reached from here.",
)

RBAC_NOT_AVAILABLE = Rule(
    id="rbac-not-available",
    severity=Severity.INFO,
    title="The server knows who may do what",
    remedy="Treat the one credential as the key to everything: rotate it, and keep the server off shared networks.",
)

_ONE_CREDENTIAL = (
    "Not available on this server: self-hosted Prefect has no users and no roles, only one shared credential. Whoever "
    "holds it can read every secret block and change every deployment, so there is no access to compare with a policy"
)


def server_answers(posture: Posture) -> Finding:
    """Judge whether there is a Prefect server at all. It can not be declared out of reach: all else rests on it."""
    if isinstance(posture.health, Unseen):
        return SERVER_ANSWERS.unchecked(posture.server, f"The server could not be seen: {posture.health.reason}.")
    return SERVER_ANSWERS.passed(posture.server, "The server answers as a Prefect server.")


def rbac(posture: Posture) -> Finding:
    """Say that roles are not available, where the server was seen to know no accounts."""
    if isinstance(posture.accounts, Unseen):
        return unchecked(RBAC_NOT_AVAILABLE, posture.server, posture.accounts)
    if posture.accounts:
        message = "The server has accounts, as Prefect Cloud does. Drift on Cloud follows; its roles were not checked."
        return RBAC_NOT_AVAILABLE.unchecked(posture.server, message, "Review its members and roles by hand.")
    holder = " - and it asks nobody even for that" if posture.open else ""
    return RBAC_NOT_AVAILABLE.skipped(posture.server, f"{_ONE_CREDENTIAL}{holder}.")
