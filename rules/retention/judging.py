"""What becomes of one object: condemned only if nothing and nobody can still ask for it.

Its laws, each enough to keep an object:

* It is younger than the start of the mark minus the grace: a run may be about to refer to it.
* A lock lies beside it, or it is a lock file or the parameters of a background task.
* Any run that refers to it is held, live, kept by ``keep_last``, matched by no rule, or inside its period. An object
  that several runs share lives as long as the longest of them.
* Its cache has not expired, by what the object itself or any reference says. One that never expires is kept unless the
  policy says ``caches: expire``.
* A task refers to it and it carries no metadata: that lies in a key storage, and both must go together or neither.
* Nobody refers to it and: the store is not exclusive, or it is no result with metadata, or anything is on hold (what it
  belonged to cannot be told any more), or it is younger than the oldest live run.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from rules.durations import format_duration
from rules.retention.observed import Class, Mark, Metadata, Reference, StoredObject
from rules.retention.recognition import is_protected, lock_of
from rules.retention.standings import active_holds, judge_runs, oldest_live_start
from rules.retention.wishes import RetentionWish

CONDEMNED = frozenset({Class.EXPIRED, Class.ORPHAN})
KEEP_CACHES = "keep"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEEPING_ORDER = (Class.HELD, Class.LIVE, Class.UNKNOWN, Class.RETAINED)


class Verdict(NamedTuple):
    """What becomes of an object or artifact, and why in a few words."""

    verdict: Class
    reason: str


_YOUNG = Verdict(Class.RETAINED, "written after the start of this run minus the grace")
_PROTECTED = Verdict(Class.FOREIGN, "a lock file or the parameters of a background task")
_LOCKED = Verdict(Class.HELD, "a lock lies beside it")
_UNLOCATED = Verdict(Class.UNKNOWN, "a run refers to this name through a block whose place is not known")
_SHARED = Verdict(Class.UNKNOWN, "no run here refers to it, and other servers may share the store")
_NEW = Verdict(Class.UNKNOWN, "no run refers to it yet, and it is younger than the grace")
_ALIVE = Verdict(Class.LIVE, "no run refers to it, but it is younger than the oldest run that is still live")
_MAYBE_HELD = Verdict(Class.HELD, "no run refers to it, and it may belong to what is on hold")
_FOREIGN = Verdict(Class.FOREIGN, "no run refers to it, and it carries no metadata of a result")
_ELSEWHERE = Verdict(Class.UNKNOWN, "its metadata lies in a key storage, and both must go together")
_UNREAD = Verdict(Class.UNKNOWN, "its metadata could not be read")
_FOREVER = Verdict(Class.CACHED, "it may be a cache that never expires, and the policy keeps those")
_VALID = Verdict(Class.CACHED, "its cache has not expired")
_ORPHAN = Verdict(Class.ORPHAN, "no run refers to it, and only this server writes to the store")
_NO_PERIOD = Verdict(Class.UNKNOWN, "no rule of the policy says how long its results are kept")


class Judge:
    """Judges the objects and artifacts of one workspace at one instant; the same facts give the same verdicts.

    Args:
        mark: what could refer to a result.
        policy: what is wanted.
        now: the one instant of the run.
    """

    def __init__(self, mark: Mark, policy: RetentionWish, now: datetime) -> None:
        self.standings = judge_runs(mark.runs, policy, now)
        self.now = now
        self._mark = mark
        self._now_ns = nanoseconds(now)
        self._young_ns = nanoseconds(mark.started - policy.grace)
        oldest = oldest_live_start(mark.runs.values())
        self._oldest_live_ns = nanoseconds(oldest)
        self._keep_forever = policy.caches == KEEP_CACHES
        self._any_hold = bool(active_holds(policy, now.date()))

    def glance(
        self, listed: StoredObject, references: Sequence[Reference] | None, locks: frozenset[str], exclusive: bool
    ) -> Verdict | None:
        """Return what is known of an object without reading it, or None if its first bytes must be read.

        Args:
            listed: the object.
            references: what refers to it.
            locks: the keys of all lock files in the store.
            exclusive: whether only this server writes to the store.
        """
        by_name = self._by_name(listed.key, locks)
        if by_name is not None:
            return by_name
        return self._referenced(listed, references) if references else self._unreferenced(listed, exclusive)

    def decide(
        self, references: Sequence[Reference] | None, metadata: Metadata | None, could_read: bool = True
    ) -> Verdict:
        """Return what becomes of an object that a glance could not settle.

        Args:
            references: what refers to it.
            metadata: what its first bytes say, or None if it is no result with metadata.
            could_read: whether its first bytes could be read.
        """
        if not could_read:
            return _UNREAD
        if metadata is None:
            if not references:
                return _FOREIGN
            return _ELSEWHERE if any(r.cacheable for r in references) else self._expired(references)
        if metadata.expiration is None:
            if self._keep_forever:
                return _FOREVER
        elif metadata.expiration > self.now:
            return _VALID
        return self._expired(references) if references else _ORPHAN

    def artifact(self, run: str | None, age_from: datetime) -> Verdict:
        """Return what becomes of a typed artifact.

        Args:
            run: the id of the run that made it, or None.
            age_from: when it was last written.
        """
        standing = self.standings.get(run) if run else None
        if standing is None:
            return Verdict(Class.UNKNOWN, "its run is not known")
        if standing.verdict is not Class.EXPIRED:
            return Verdict(standing.verdict, standing.reason)
        if standing.artifacts is None:
            return Verdict(Class.UNKNOWN, "no rule of the policy says how long artifacts are kept")
        if age_from + standing.artifacts > self.now or nanoseconds(age_from) >= self._young_ns:
            return Verdict(Class.RETAINED, "inside its period")
        return Verdict(Class.EXPIRED, f"its rules keep artifacts {format_duration(standing.artifacts)}")

    def _by_name(self, key: str, locks: frozenset[str]) -> Verdict | None:
        if is_protected(key):
            return _PROTECTED
        if self._mark.unlocated and key.rpartition("/")[2] in self._mark.unlocated:
            return _UNLOCATED
        return _LOCKED if locks and lock_of(key) in locks else None

    def _referenced(self, listed: StoredObject, references: Sequence[Reference]) -> Verdict | None:
        kept = self._kept_by_runs(listed, references)
        if kept is not None:
            return kept
        if listed.modified_ns >= self._young_ns:
            return _YOUNG
        return _VALID if any(r.expiration is not None and r.expiration > self.now for r in references) else None

    def _unreferenced(self, listed: StoredObject, exclusive: bool) -> Verdict | None:
        if not exclusive:
            return _SHARED
        if self._any_hold:
            return _MAYBE_HELD
        if listed.modified_ns >= self._young_ns:
            return _NEW
        return _ALIVE if listed.modified_ns >= self._oldest_live_ns else None

    def _kept_by_runs(self, listed: StoredObject, references: Sequence[Reference]) -> Verdict | None:
        standings = [self.standings[reference.run] for reference in references]
        for verdict in _KEEPING_ORDER:
            for standing in standings:
                if standing.verdict is verdict:
                    return Verdict(verdict, standing.reason)
        for standing in standings:
            if standing.results is None:
                return _NO_PERIOD
            since = max(nanoseconds(standing.ended), listed.modified_ns)
            if since + nanoseconds_of(standing.results) > self._now_ns:
                return Verdict(Class.RETAINED, standing.reason)
        return None

    def _expired(self, references: Sequence[Reference]) -> Verdict:
        return Verdict(Class.EXPIRED, self.standings[references[-1].run].reason)


def nanoseconds(moment: datetime) -> int:
    """Return an aware time as whole nanoseconds since 1970, exact to the microsecond."""
    return nanoseconds_of(moment - _EPOCH)


def nanoseconds_of(length: timedelta) -> int:
    """Return a length of time as whole nanoseconds."""
    return (length.days * 86_400 + length.seconds) * 1_000_000_000 + length.microseconds * 1_000
