"""What the rules need to know of a placement policy."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol
from uuid import UUID


class WantedQueue(Protocol):
    """A work queue that its pool may have."""

    @property
    def name(self) -> str:
        """The queue's name."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels that it adds to those of its pool."""


class WantedPool(Protocol):
    """What is true of one work pool."""

    @property
    def name(self) -> str:
        """The pool's name."""

    @property
    def id(self) -> UUID | None:
        """Its id, or None where the policy is not bound to one."""

    @property
    def labels(self) -> Mapping[str, str]:
        """What is true of every worker of the pool."""

    @property
    def queues(self) -> Sequence[WantedQueue] | None:
        """The queues it may have besides its default one, or None where any is allowed."""

    @property
    def accepts(self) -> str | None:
        """A selector over the labels of deployments, or None where it takes any."""

    @property
    def overridable(self) -> Sequence[str] | None:
        """The job variables its template may leave open, or None where any may be."""


class Selection(Protocol):
    """Which deployments a constraint governs: one hit in each list that is not empty."""

    @property
    def tags(self) -> Sequence[str]:
        """Tags, of which the deployment carries one."""

    @property
    def names(self) -> Sequence[str]:
        """Patterns of FLOW/DEPLOYMENT, of which one matches."""

    @property
    def pools(self) -> Sequence[str]:
        """Work pools, of which the deployment runs in one."""


class Constraint(Protocol):
    """What some deployments require of the pool they run in."""

    @property
    def name(self) -> str:
        """The constraint's name."""

    @property
    def deployments(self) -> Selection:
        """Which deployments it governs."""

    @property
    def require(self) -> str:
        """A selector that the labels of their place must match."""

    @property
    def mode(self) -> Literal["off", "audit", "warn", "enforce"]:
        """How much a failure counts."""


class PlacementPolicy(Protocol):
    """What is true of pools, and what deployments require of them."""

    @property
    def name(self) -> str:
        """The policy's name."""

    @property
    def vocabulary(self) -> Mapping[str, Sequence[str]]:
        """Label keys with their allowed values; an empty list allows any value, an empty mapping everything."""

    @property
    def pools(self) -> Sequence[WantedPool]:
        """The pools and what is true of them."""

    @property
    def constraints(self) -> Sequence[Constraint]:
        """What deployments require."""
