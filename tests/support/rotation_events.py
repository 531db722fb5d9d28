"""What can be seen of a rotation from outside: remote calls, logins, what a consumer meets, what a run says."""

from dataclasses import dataclass
from datetime import datetime

Value = tuple[str, str]
"""An account (or the id of a minted credential) and its password."""


@dataclass(frozen=True)
class Began:
    """A run begins, in a process of its own: it knows nothing of the ones before."""

    now: datetime
    order: str = "rotate"
    accepts_outage: bool = False


@dataclass(frozen=True)
class Leased:
    """The run made sure that its lease lasts."""

    seconds: float


@dataclass(frozen=True)
class Asked:
    """A method of the store's interface begins; ``value`` is what it was given to stage."""

    method: str
    value: Value | None = None


@dataclass(frozen=True)
class Answered:
    """It returned; ``value`` is what was revealed or staged, ``epoch`` that of the journal."""

    method: str
    value: Value | None = None
    epoch: int | None = None


@dataclass(frozen=True)
class Called:
    """A remote call is made: of the store (``operation`` is its text) or of the target."""

    side: str
    operation: str
    struck: str = ""


@dataclass(frozen=True)
class Touched:
    """A call that may change the target is sent."""

    call: str
    account: str = ""
    password: str | None = None


@dataclass(frozen=True)
class Minted:
    """The target made a credential, whoever learns of it."""

    value: Value


@dataclass(frozen=True)
class Tried:
    """The target answered the run whether it lets a credential in."""

    value: Value
    accepted: bool


@dataclass(frozen=True)
class Looked:
    """A consumer read the secret by its own path after a call, and tried it; ``living`` is all that is accepted."""

    value: Value | None
    works: bool
    living: frozenset[Value]


@dataclass(frozen=True)
class FellBack:
    """A consumer that reads the pending version when the current one fails, and then the current one again."""

    works: bool


@dataclass(frozen=True)
class Said:
    """A text that leaves the run: a log line, an error, a finding, a change, a journal."""

    place: str
    text: str


@dataclass(frozen=True)
class Ended:
    """A run ended: ``rest``, ``grace``, ``problem``, ``quarantine``, ``error`` or ``died``."""

    outcome: str
    reason: str = ""


Event = Began | Leased | Asked | Answered | Called | Touched | Minted | Tried | Looked | FellBack | Said | Ended
