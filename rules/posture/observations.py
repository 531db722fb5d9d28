"""What probes saw of a self-hosted server: each field an answer, or the reason why it could not be seen."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from rules.findings import Finding, Rule, Subject


@dataclass(frozen=True, slots=True)
class Unseen:
    """Something that could not be seen.

    Attributes:
        reason: why, as the end of a sentence, without any secret.
    """

    reason: str


class Answer(StrEnum):
    """How a server met one request."""

    SERVED = "served"
    REFUSED = "refused"
    BROKE = "broke"


class KeyPlace(StrEnum):
    """Where the key lies that encrypts the blocks."""

    DATABASE = "database"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Transport:
    """How the server is reached.

    Attributes:
        scheme: ``http`` or ``https``.
        host: name or address, without brackets.
        verified: whether the client checks the server's certificate.
    """

    scheme: str
    host: str
    verified: bool = True

    @property
    def loopback(self) -> bool:
        """Whether requests stay on this machine."""
        return is_loopback(self.host)


@dataclass(frozen=True, slots=True)
class Posture:
    """Everything that was seen of one self-hosted server.

    Attributes:
        server: the server as the subject of findings.
        transport: how it is reached.
        health: whether it answers as a Prefect server.
        version: its version of Prefect.
        accounts: whether it knows accounts and users.
        anonymous: how it met a request without a credential.
        wrong: how it met a wrong credential.
        empty: how it met ``Authorization: Basic =``, the encoding of nothing.
        non_ascii: how it met a credential with a character outside ASCII.
        suffix: how it met an anonymous request for a path that ends in ``health``.
        sockets: how each websocket met a client without a token.
        csrf: whether it refuses a POST without a CSRF token.
        foreign_origin: the origin that it lets read its answers, empty if none.
        schema: the paths at which it shows its API schema to anybody.
        ui_settings: the names of the settings that it shows to anybody.
        shown_headers: the names of the client headers whose values its settings show in clear text.
        beyond_loopback: whether it can be reached at an address that is not this machine's loopback.
        encryption_key: where the key lies that encrypts the blocks.
        packages: versions by name of the packages that flows of this run's environment use.
    """

    server: Subject
    transport: Transport
    health: bool | Unseen
    version: str | Unseen
    accounts: bool | Unseen
    anonymous: Answer | Unseen
    wrong: Answer | Unseen
    empty: Answer | Unseen
    non_ascii: Answer | Unseen
    suffix: Answer | Unseen
    sockets: Mapping[str, Answer] | Unseen
    csrf: bool | Unseen
    foreign_origin: str | Unseen
    schema: tuple[str, ...] | Unseen
    ui_settings: tuple[str, ...] | Unseen
    shown_headers: tuple[str, ...] | Unseen
    beyond_loopback: bool | Unseen
    encryption_key: KeyPlace | Unseen
    packages: Mapping[str, str]

    @property
    def open(self) -> bool:
        """Whether it was seen to serve whoever asks, without a credential."""
        return self.anonymous is Answer.SERVED

    @property
    def loopback_only(self) -> bool:
        """Whether it was seen that nobody but this machine can reach it."""
        return self.transport.loopback and self.beyond_loopback is False


def is_loopback(host: str) -> bool:
    """Return whether ``host`` names this machine and nothing else; a name that must be looked up does not."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


UNSEEN_REMEDY = (
    "Let this probe reach the server, or declare the check under `not_checkable` in the policy with `owner`, `reason` "
    "and `expires`."
)


def unchecked(rule: Rule, subject: Subject, unseen: Unseen) -> Finding:
    """Return the finding that a probe did not see what the rule needs."""
    return rule.unchecked(subject, f"This could not be seen: {unseen.reason}.", UNSEEN_REMEDY)
