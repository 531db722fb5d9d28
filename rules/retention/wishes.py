"""What a retention policy must be able to say, as the rules read it; the policy block has these fields."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Protocol


class Match(Protocol):
    """Which runs are meant: every key that is given must fit, and one value of a key is enough."""

    @property
    def all(self) -> bool:
        """Whether every run is meant."""

    @property
    def tags(self) -> Sequence[str]:
        """Tags, with ``*`` and ``?`` as wildcards."""

    @property
    def flows(self) -> Sequence[str]:
        """Names of flows, with wildcards."""

    @property
    def deployments(self) -> Sequence[str]:
        """Deployments as ``flow/deployment``, with wildcards."""


class KeepingRule(Protocol):
    """How long what runs leave behind is kept. Where several rules match, the one that keeps longest wins."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def match(self) -> Match:
        """The runs it is about."""

    @property
    def unless(self) -> Match | None:
        """The runs among them that it is not about."""

    @property
    def results(self) -> timedelta | None:
        """How long results are kept after their run has ended; None says nothing of them."""

    @property
    def artifacts(self) -> timedelta | None:
        """How long artifacts are kept after they were written; None says nothing of them."""

    @property
    def runs(self) -> timedelta | None:
        """How long the runs themselves are kept: read, and reported as not enforced."""

    @property
    def keep_last(self) -> int | None:
        """How many of the latest ended runs of each flow keep everything, whatever their age."""


class Hold(Protocol):
    """What may not be deleted, whatever any rule says."""

    @property
    def match(self) -> Match:
        """The runs it is about."""

    @property
    def owner(self) -> str:
        """Who asked for it."""

    @property
    def reason(self) -> str:
        """Why."""

    @property
    def expires(self) -> date:
        """The last day (UTC) on which it holds."""


class Limits(Protocol):
    """The most that one run may delete; exceeding one stops everything."""

    @property
    def objects(self) -> int:
        """Objects and artifacts together."""

    @property
    def percent(self) -> int:
        """Of all objects, and of all artifacts."""


class RetentionWish(Protocol):
    """A retention policy."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def rules(self) -> Sequence[KeepingRule]:
        """How long what is kept."""

    @property
    def holds(self) -> Sequence[Hold]:
        """What may not be deleted."""

    @property
    def caches(self) -> str:
        """``keep`` or ``expire``: what to do with results that could be caches which never expire."""

    @property
    def limits(self) -> Limits:
        """The most that one run may delete."""

    @property
    def grace(self) -> timedelta:
        """How old everything must be, at the start of the run, before it can be condemned."""
