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
from datetime import datetime
from typing import NamedTuple

from rules.durations import format_duration
from rules.retention.observed import Class, Mark, Metadata, Reference, StoredObject
from rules.retention.recognition import is_protected, lock_of
from rules.retention.standings import Standing, active_holds, judge_runs, nanoseconds, oldest_live_start
from rules.retention.wishes import RetentionWish

CONDEMNED = frozenset({Class.EXPIRED, Class.ORPHAN})
KEEP_CACHES = "keep"
_KEEPING_ORDER = (Class.HELD, Class.LIVE, Class.UNKNOWN, Class.RETAINED, Class.CACHED)


class Verdict(NamedTuple):
    """What becomes of an object or artifact, and why in a few words."""

    verdict: Class
    reason: str


def _strength(verdict: Verdict) -> int:
    return _KEEPING_ORDER.index(verdict.verdict)


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
        self._unlocated = mark.unlocated
        self._now_ns = nanoseconds(now)
        self._young_ns = nanoseconds(mark.started - policy.grace)
        oldest = oldest_live_start(mark.runs.values())
        self._oldest_live_ns = nanoseconds(oldest)
        self._keep_forever = policy.caches == KEEP_CACHES
        self._expired_for: dict[str, Verdict] = {}
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
        key = listed.key
        if is_protected(key):
            return _PROTECTED
        if self._unlocated and key.rpartition("/")[2] in self._unlocated:
            return _UNLOCATED
        if locks and lock_of(key) in locks:
            return _LOCKED
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

    def _referenced(self, listed: StoredObject, references: Sequence[Reference]) -> Verdict | None:
        modified_ns = listed.modified_ns
        kept = None
        for run, _, expiration in references:
            found = self._kept_by(self.standings[run], modified_ns)
            if found is None and expiration is not None and expiration > self.now:
                found = _VALID
            if found is not None and (kept is None or _strength(found) < _strength(kept)):
                kept = found
        if kept is not None:
            return kept
        return _YOUNG if modified_ns >= self._young_ns else None

    def _unreferenced(self, listed: StoredObject, exclusive: bool) -> Verdict | None:
        if not exclusive:
            return _SHARED
        if self._any_hold:
            return _MAYBE_HELD
        if listed.modified_ns >= self._young_ns:
            return _NEW
        return _ALIVE if listed.modified_ns >= self._oldest_live_ns else None

    def _kept_by(self, standing: Standing, modified_ns: int) -> Verdict | None:
        verdict, reason, ended_ns, results_ns, _ = standing
        if verdict is not Class.EXPIRED:
            return Verdict(verdict, reason)
        if results_ns is None:
            return _NO_PERIOD
        kept_since_ns = self._now_ns - results_ns
        inside = ended_ns > kept_since_ns or modified_ns > kept_since_ns
        return Verdict(Class.RETAINED, reason) if inside else None

    def _expired(self, references: Sequence[Reference]) -> Verdict:
        reason = self.standings[references[-1].run].reason
        known = self._expired_for.get(reason)
        if known is None:
            known = self._expired_for[reason] = Verdict(Class.EXPIRED, reason)
        return known
