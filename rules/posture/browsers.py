"""What a web page of somebody else may do to the server through the browser of somebody who can reach it."""

from dataclasses import replace

from rules.findings import Finding, Rule, Severity
from rules.posture.observations import Posture, Unseen, unchecked

CSRF_PROTECTION = Rule(
    id="csrf-protection",
    severity=Severity.MEDIUM,
    title="A change without a CSRF token is refused",
    remedy="Set PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED=true on the server; Prefect's clients handle it.",
)

CORS_RESTRICTED = Rule(
    id="cors-restricted",
    severity=Severity.MEDIUM,
    title="Pages of other origins may not read answers",
    remedy="Set PREFECT_SERVER_CORS_ALLOWED_ORIGINS on the server to the address of its own UI.",
)


def csrf_protection(posture: Posture) -> Finding:
    """Judge the POST without a CSRF token."""
    if isinstance(posture.csrf, Unseen):
        return unchecked(CSRF_PROTECTION, posture.server, posture.csrf)
    if posture.csrf:
        return CSRF_PROTECTION.passed(posture.server, "A POST without a CSRF token was refused.")
    return CSRF_PROTECTION.failed(posture.server, "A POST without a CSRF token was not refused for lack of one.")


def cors_restricted(posture: Posture) -> Finding:
    """Judge what a foreign origin may read: medium, but high where no credential stands in its way."""
    if isinstance(posture.foreign_origin, Unseen):
        return unchecked(CORS_RESTRICTED, posture.server, posture.foreign_origin)
    if not posture.foreign_origin:
        return CORS_RESTRICTED.passed(posture.server, "A page of a foreign origin may not read answers.")
    allowed = posture.foreign_origin
    message = f"Pages of any origin may read answers (access-control-allow-origin: {allowed})."
    if posture.open:
        message += " As no credential is asked for, any page open in a browser that reaches the server reads its API."
    finding = CORS_RESTRICTED.failed(posture.server, message, allowed_origin=allowed)
    return replace(finding, severity=Severity.HIGH) if posture.open else finding
