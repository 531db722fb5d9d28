"""Published weaknesses of Prefect by version, and which of them concern what was seen.

Versions are compared as PEP 440 says, so that a development release before a fix counts as before it. Only what a
version decides is in the table: what a probe can see (open sockets, CORS, CSRF, the empty credential) has a rule of its
own. GHSA-6rcx-55r6-jx65 is left out until what it affects is confirmed.
"""

from dataclasses import dataclass, replace

from packaging.version import InvalidVersion, Version

from rules.findings import Finding, Rule, Severity, Subject
from rules.posture.observations import Posture, Unseen, unchecked

SERVER_ADVISORIES = Rule(
    id="server-advisories",
    severity=Severity.HIGH,
    title="The server's version has no published weakness",
    remedy="Upgrade the server.",
)

CLIENT_ADVISORIES = Rule(
    id="client-advisories",
    severity=Severity.HIGH,
    title="The packages that this run uses have no published weakness",
    remedy="Upgrade the package in the worker's environment or image.",
)

UNKNOWN_VERSION = "0+unknown"
"""What Prefect reports when it was built without its history."""


@dataclass(frozen=True, slots=True)
class Advisory:
    """One published weakness.

    Attributes:
        ids: its public ids, the best known first; a pull request where it never got one.
        package: the distribution that has it.
        concerns: ``server`` or ``client``: on which side it can be used.
        severity: how much it matters here.
        fixed: the first version without it.
        summary: what it allows.
    """

    ids: tuple[str, ...]
    package: str
    concerns: str
    severity: Severity
    fixed: str
    summary: str

    def affects(self, version: Version) -> bool:
        """Return whether that version has the weakness."""
        return version < Version(self.fixed)


ADVISORIES = (
    Advisory(
        ids=("CVE-2026-3514", "CVE-2026-7722", "GHSA-6rr6-v7cj-mxpg"),
        package="prefect",
        concerns="server",
        severity=Severity.HIGH,
        fixed="3.6.22",
        summary="a path that ends in health or ready skips the authentication",
    ),
    Advisory(
        ids=("CVE-2026-7723", "GHSA-hvph-5985-r63v"),
        package="prefect",
        concerns="server",
        severity=Severity.HIGH,
        fixed="3.6.14",
        summary="anybody can send events, and so trigger automations, over an unauthenticated websocket",
    ),
    Advisory(
        ids=("CVE-2026-7724", "GHSA-p3pq-hxmr-vqqr"),
        package="prefect",
        concerns="server",
        severity=Severity.LOW,
        fixed="3.6.28.dev2",
        summary="a webhook can be turned to an internal address between its check and its use",
    ),
    Advisory(
        ids=("PrefectHQ/prefect#22252",),
        package="prefect",
        concerns="server",
        severity=Severity.MEDIUM,
        fixed="3.7.5",
        summary="a remote $ref in a schema makes the server fetch an address of the caller's choice",
    ),
    Advisory(
        ids=("GHSA-4v9f-r55g-g6hc",),
        package="prefect",
        concerns="server",
        severity=Severity.MEDIUM,
        fixed="2.20.17",
        summary="a CORS misconfiguration lets pages of any origin use the API",
    ),
    Advisory(
        ids=("GHSA-4hh5-2678-83fx",),
        package="prefect",
        concerns="server",
        severity=Severity.MEDIUM,
        fixed="2.16.5",
        summary="there is no protection against forged requests to turn on",
    ),
    Advisory(
        ids=("CVE-2026-5366", "GHSA-7pm4-56h2-5rxr"),
        package="prefect",
        concerns="client",
        severity=Severity.HIGH,
        fixed="3.6.25",
        summary="a git reference that looks like an option runs commands where the flow is pulled",
    ),
    Advisory(
        ids=("PrefectHQ/prefect#22819",),
        package="prefect",
        concerns="client",
        severity=Severity.MEDIUM,
        fixed="3.8.3",
        summary="a git branch that looks like an option is passed to git as one",
    ),
    Advisory(
        ids=("PrefectHQ/prefect#21047",),
        package="prefect",
        concerns="client",
        severity=Severity.MEDIUM,
        fixed="3.6.22",
        summary="environment variables leak between deployments that one worker starts at the same time",
    ),
    Advisory(
        ids=("CVE-2026-3515", "GHSA-cw25-2p92-7f75"),
        package="prefect-github",
        concerns="client",
        severity=Severity.HIGH,
        fixed="0.4.3",
        summary="a reference that looks like an option is passed to git as one",
    ),
)
"""The table, to be extended as advisories appear; sources are the public records of the ids."""

PACKAGES = tuple(sorted({a.package for a in ADVISORIES if a.concerns == "client"}))
"""The distributions to look for in the environment of a run."""


def server_advisories(posture: Posture) -> tuple[Finding, ...]:
    """Judge the server's version: a finding for each advisory that affects it, or one that none does."""
    if isinstance(posture.version, Unseen):
        return (unchecked(SERVER_ADVISORIES, posture.server, posture.version),)
    return _judge(SERVER_ADVISORIES, "server", "prefect", posture.version, posture.server)


def client_advisories(posture: Posture) -> tuple[Finding, ...]:
    """Judge the packages of the environment that this run is in, which stands for its work pool's."""
    return tuple(
        finding
        for package, version in sorted(posture.packages.items())
        for finding in _judge(CLIENT_ADVISORIES, "client", package, version, Subject("package", package, package))
    )


def _judge(rule: Rule, concerns: str, package: str, version: str, subject: Subject) -> tuple[Finding, ...]:
    try:
        parsed = Version(version)
    except InvalidVersion:
        return (unchecked(rule, subject, Unseen(f"{package} reports a version that is none")),)
    if version.startswith(UNKNOWN_VERSION):
        return (unchecked(rule, subject, Unseen(f"{package} does not know its own version")),)
    hits = [a for a in ADVISORIES if (a.package, a.concerns) == (package, concerns) and a.affects(parsed)]
    if hits:
        return tuple(_affected(rule, a, version, subject) for a in hits)
    return (rule.passed(subject, f"No known advisory affects {package} {version}.", version=version),)


def _affected(rule: Rule, advisory: Advisory, version: str, subject: Subject) -> Finding:
    best = advisory.ids[0]
    about = Subject("advisory", f"{best}@{subject.id}", best)
    finding = rule.failed(
        about,
        f"{advisory.package} {version} of {subject.name}: {advisory.summary} ({', '.join(advisory.ids)}).",
        f"Upgrade {advisory.package} to {advisory.fixed} or later.",
        version=version,
        fixed=advisory.fixed,
    )
    return replace(finding, severity=advisory.severity)
