"""What the server gives away: on the wire, to anybody who asks, in its settings, and in a copy of its database."""

from dataclasses import replace

from rules.findings import Finding, Rule, Severity
from rules.posture.observations import KeyPlace, Posture, Unseen, unchecked

TLS_IN_FRONT = Rule(
    id="tls-in-front",
    severity=Severity.HIGH,
    title="The API is reached over TLS, with its certificate checked",
    remedy="Put a proxy that speaks TLS in front of the server (it has none itself), and use its https address.",
)

SCHEMA_PRIVATE = Rule(
    id="schema-private",
    severity=Severity.LOW,
    title="The API schema is not shown to anybody",
    remedy="Let the proxy in front of the server refuse /docs, /redoc and /openapi.json.",
)

UI_SETTINGS_PRIVATE = Rule(
    id="ui-settings-private",
    severity=Severity.INFO,
    title="The settings of the UI are not shown to anybody",
    remedy="Nothing to do unless the proxy in front of the server asks for a login: the UI needs them before its own.",
)

HEADERS_MASKED = Rule(
    id="custom-headers-masked",
    severity=Severity.MEDIUM,
    title="The server shows no client header in clear text",
    remedy="Take PREFECT_CLIENT_CUSTOM_HEADERS out of the server's own environment and profile, and rotate its values.",
)

ENCRYPTION_KEY = Rule(
    id="encryption-key-outside-database",
    severity=Severity.HIGH,
    title="The key that encrypts the blocks is not stored beside them",
    remedy="Give the server PREFECT_SERVER_ENCRYPTION_KEY, save every block again under it (it does not read those of "
    "another key), then delete the old key from the database. Until then guard every copy of it.",
)


def tls_in_front(posture: Posture) -> Finding:
    """Judge how the server is reached; plain http is accepted only where requests stay on this machine."""
    transport = posture.transport
    if transport.scheme != "https":
        if transport.loopback:
            return TLS_IN_FRONT.passed(posture.server, "Requests do not leave this machine.")
        message = f"Requests to {transport.host} are not encrypted: anybody on the way reads credential and secrets."
        return TLS_IN_FRONT.failed(posture.server, message)
    if isinstance(posture.health, Unseen):
        return unchecked(TLS_IN_FRONT, posture.server, posture.health)
    if not transport.verified:
        message = "The server's certificate is not checked, so anybody on the way can pretend to be the server."
        return TLS_IN_FRONT.failed(posture.server, message, "Unset PREFECT_API_TLS_INSECURE_SKIP_VERIFY.")
    return TLS_IN_FRONT.passed(posture.server, "The server was reached over TLS, its certificate checked.")


def schema_private(posture: Posture) -> Finding:
    """Judge whether the API schema is public: it names every route and the exact version."""
    if isinstance(posture.schema, Unseen):
        return unchecked(SCHEMA_PRIVATE, posture.server, posture.schema)
    if not posture.schema:
        return SCHEMA_PRIVATE.passed(posture.server, "The API schema is not shown to anonymous callers.")
    paths = ", ".join(posture.schema)
    message = f"Anybody can read {paths}: every route, and the exact version to look up weaknesses of."
    return SCHEMA_PRIVATE.failed(posture.server, message, paths=paths)


def ui_settings_private(posture: Posture) -> Finding:
    """Judge whether the UI's settings are public: they tell whether a credential is asked for and CSRF is on."""
    if isinstance(posture.ui_settings, Unseen):
        return unchecked(UI_SETTINGS_PRIVATE, posture.server, posture.ui_settings)
    if not posture.ui_settings:
        return UI_SETTINGS_PRIVATE.passed(posture.server, "/ui-settings is not shown to anonymous callers.")
    names = ", ".join(posture.ui_settings)
    return UI_SETTINGS_PRIVATE.failed(posture.server, f"Anybody can read /ui-settings: {names}.", settings=names)


def headers_masked(posture: Posture) -> Finding:
    """Judge the server's settings: ``client.custom_headers`` is not masked; high where anybody may read them."""
    if isinstance(posture.shown_headers, Unseen):
        return unchecked(HEADERS_MASKED, posture.server, posture.shown_headers)
    if not posture.shown_headers:
        return HEADERS_MASKED.passed(posture.server, "The server's settings hold no client header.")
    names = ", ".join(posture.shown_headers)
    readers = "anybody" if posture.open else "every holder of the credential"
    finding = HEADERS_MASKED.failed(
        posture.server, f"The server shows the values of these headers to {readers}: {names}.", headers=names
    )
    return replace(finding, severity=Severity.HIGH) if posture.open else finding


def encryption_key(posture: Posture) -> Finding:
    """Judge where the encryption key lies: one in the database is in every backup of it too."""
    match posture.encryption_key:
        case Unseen() as unseen:
            return unchecked(ENCRYPTION_KEY, posture.server, unseen)
        case KeyPlace.DATABASE:
            message = "The database holds an encryption key beside the blocks: a copy of it is a copy of every secret."
            return ENCRYPTION_KEY.failed(posture.server, message)
    return ENCRYPTION_KEY.passed(posture.server, "The database holds encrypted blocks and no key to them.")
