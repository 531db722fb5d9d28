"""Whom the server lets in: nobody without the credential, by no path, through no socket."""

from dataclasses import replace

from rules.findings import Finding, Rule, Severity
from rules.posture.observations import Answer, Posture, Unseen, unchecked

AUTH_REQUIRED = Rule(
    id="auth-required",
    severity=Severity.CRITICAL,
    title="A request without a credential is refused",
    remedy="Set PREFECT_SERVER_API_AUTH_STRING on the server and PREFECT_API_AUTH_STRING on its clients.",
)

WRONG_CREDENTIAL = Rule(
    id="wrong-credential-refused",
    severity=Severity.CRITICAL,
    title="A wrong credential is refused",
    remedy="Look at what stands in front of the server: Prefect itself refuses every wrong credential.",
)

EMPTY_CREDENTIAL = Rule(
    id="empty-credential-refused",
    severity=Severity.CRITICAL,
    title="An empty credential is refused",
    remedy="PREFECT_SERVER_API_AUTH_STRING is set to an empty string: set it to a real one, and restart the server.",
)

NON_ASCII_CREDENTIAL = Rule(
    id="non-ascii-credential",
    severity=Severity.INFO,
    title="A credential with a character outside ASCII is refused in good order",
    remedy="Nothing to do but to keep the auth string ASCII: one that is not locks every client out.",
)

AUTH_COVERS_EVERY_PATH = Rule(
    id="auth-covers-every-path",
    severity=Severity.CRITICAL,
    title="A path that ends like the health check needs the credential too",
    remedy="Upgrade the server to Prefect 3.6.22 or later.",
)

WEBSOCKET_AUTH = Rule(
    id="websocket-auth",
    severity=Severity.HIGH,
    title="The websockets refuse a client without a token",
    remedy="Upgrade the server to Prefect 3.6.14 or later, and set a non-empty PREFECT_SERVER_API_AUTH_STRING.",
)


def auth_required(posture: Posture) -> Finding:
    """Judge the request without a credential: critical, but high where the server was seen to be on loopback only."""
    match posture.anonymous:
        case Unseen() as unseen:
            return unchecked(AUTH_REQUIRED, posture.server, unseen)
        case Answer.BROKE:
            return unchecked(AUTH_REQUIRED, posture.server, Unseen("the server broke on a request without credential"))
        case Answer.REFUSED:
            return AUTH_REQUIRED.passed(posture.server, "A request without a credential was refused.")
    reach = "on this machine" if posture.loopback_only else "who can reach the server"
    message = f"No credential is asked for: anybody {reach} can read every secret block and start any run."
    return _by_reach(AUTH_REQUIRED.failed(posture.server, message), posture)


def wrong_credential(posture: Posture) -> Finding:
    """Judge the request with a made-up credential."""
    return _refused(WRONG_CREDENTIAL, posture, posture.wrong, "a made-up credential")


def empty_credential(posture: Posture) -> Finding:
    """Judge the request with an empty credential: a server whose auth string is empty takes it for the right one."""
    return _refused(EMPTY_CREDENTIAL, posture, posture.empty, "the empty credential `Basic =`")


def non_ascii_credential(posture: Posture) -> Finding:
    """Judge the request whose credential holds a character outside ASCII; Prefect's comparison breaks on it."""
    if posture.non_ascii is Answer.BROKE and not posture.open:
        message = "A credential with a character outside ASCII makes the server fail with a 500 instead of a refusal."
        return NON_ASCII_CREDENTIAL.failed(posture.server, message)
    return _refused(NON_ASCII_CREDENTIAL, posture, posture.non_ascii, "a credential with a character outside ASCII")


def every_path(posture: Posture) -> Finding:
    """Judge the anonymous request for a path that ends in ``health``, which servers before 3.6.22 let through."""
    return _refused(AUTH_COVERS_EVERY_PATH, posture, posture.suffix, "an anonymous request for a path ending in health")


def websockets(posture: Posture) -> Finding:
    """Judge the websockets: all of them must refuse a client without a token."""
    if posture.open:
        return _follows(WEBSOCKET_AUTH, posture)
    if isinstance(posture.sockets, Unseen):
        return unchecked(WEBSOCKET_AUTH, posture.server, posture.sockets)
    served = sorted(path for path, answer in posture.sockets.items() if answer is not Answer.REFUSED)
    if served:
        message = f"A client without a token was let in at {', '.join(served)}."
        return WEBSOCKET_AUTH.failed(posture.server, message, sockets=", ".join(served))
    return WEBSOCKET_AUTH.passed(posture.server, f"Refused without a token: {', '.join(sorted(posture.sockets))}.")


def _refused(rule: Rule, posture: Posture, answer: Answer | Unseen, what: str) -> Finding:
    if posture.open:
        return _follows(rule, posture)
    match answer:
        case Unseen() as unseen:
            return unchecked(rule, posture.server, unseen)
        case Answer.BROKE:
            return unchecked(rule, posture.server, Unseen(f"the server broke on {what}"))
        case Answer.REFUSED:
            return rule.passed(posture.server, f"The server refused {what}.")
    return _by_reach(rule.failed(posture.server, f"The server accepted {what}."), posture)


def _by_reach(finding: Finding, posture: Posture) -> Finding:
    milder = finding.severity is Severity.CRITICAL and posture.loopback_only
    return replace(finding, severity=Severity.HIGH) if milder else finding


def _follows(rule: Rule, posture: Posture) -> Finding:
    return rule.skipped(posture.server, f"The server asks for no credential at all: see `{AUTH_REQUIRED.id}`.")
