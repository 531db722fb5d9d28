"""The plan: everything that is condemned, with its digest; the same facts always give the same plan.

First ``survey`` settles what can be settled without reading an object, then ``make_plan`` settles the rest with the
metadata that was read meanwhile. ``still_condemned`` judges a plan again with what was seen since.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import itemgetter
from typing import NamedTuple

from rules.retention.judging import CONDEMNED, Judge, Verdict
from rules.retention.observed import Artifact, Class, Listing, Mark, Metadata, Reference, StoredObject
from rules.retention.standings import is_live, nanoseconds
from rules.retention.wishes import RetentionWish

Heads = Mapping[str, Mapping[str, Metadata | None]]
"""By store, then by key: the metadata of every object whose first bytes were read, None for no result with metadata."""


class CondemnedObject(NamedTuple):
    """An object that the plan deletes, exactly as it was listed."""

    store: str
    object: StoredObject
    verdict: Verdict


class CondemnedArtifact(NamedTuple):
    """An artifact that the plan deletes, exactly as it was read."""

    artifact: Artifact
    verdict: Verdict


class Tally(NamedTuple):
    """How many objects of one class a store holds, and their bytes."""

    objects: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Survey:
    """What a first look at one store settled.

    Attributes:
        listing: what the store holds.
        kept: by class, the objects that are kept whatever their metadata says.
        pending: the objects whose metadata decides.
    """

    listing: Listing
    kept: Mapping[Class, Tally]
    pending: tuple[StoredObject, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is condemned and what is kept.

    Attributes:
        objects: the condemned objects, in order of store and key.
        artifacts: the condemned artifacts, in order of id.
        tallies: by store and class, what was found.
        artifact_counts: by class, the typed artifacts.
        missing: references to objects that are not there, by store and by how their run stands.
    """

    objects: tuple[CondemnedObject, ...]
    artifacts: tuple[CondemnedArtifact, ...]
    tallies: Mapping[str, Mapping[Class, Tally]]
    artifact_counts: Mapping[Class, int]
    missing: tuple["Missing", ...]

    @property
    def bytes(self) -> int:
        """The bytes of all condemned objects."""
        return sum(condemned.object.size for condemned in self.objects)

    @property
    def digest(self) -> str:
        """The SHA-256, in hex, over everything that the plan deletes."""
        fields: list[str] = []
        for store, listed, verdict in self.objects:
            fields += (verdict.verdict, store, *map(str, listed))
        fields.append("artifacts")
        for artifact, verdict in self.artifacts:
            fields += (verdict.verdict, artifact.id, artifact.updated)
        # No field can hold a NUL, and the number of fields of a row is fixed: no two plans give the same text.
        return hashlib.sha256("\0".join(fields).encode("utf-8", "surrogateescape")).hexdigest()


class Missing(NamedTuple):
    """A run refers to an object that its store does not hold.

    Attributes:
        store: the store.
        key: the object's key.
        run: the run that refers to it.
        standing: how the run stands.
    """

    store: str
    key: str
    run: str
    standing: Class


def survey(judge: Judge, mark: Mark, listing: Listing) -> Survey:
    """Return what can be settled about a store without reading any object.

    Args:
        judge: made from the same mark.
        mark: what could refer to a result.
        listing: what the store holds.
    """
    references = mark.references.get(listing.store, {})
    locks = frozenset(listed.key for listed in listing.objects if listed.key.endswith(".lock"))
    kept = _Counts()
    pending: list[StoredObject] = []
    glance, refer, exclusive = judge.glance, references.get, listing.exclusive
    for listed in listing.objects:
        verdict = glance(listed, refer(listed.key), locks, exclusive)
        if verdict is None:
            pending.append(listed)
        else:
            kept.add(verdict.verdict, listed.size)
    return Survey(listing, kept.tallies(), tuple(pending))


def make_plan(judge: Judge, mark: Mark, surveys: Sequence[Survey], heads: Heads) -> Plan:
    """Return what is condemned.

    Args:
        judge: made from the same mark.
        mark: what could refer to a result.
        surveys: one a store.
        heads: the metadata of the pending objects.
    """
    condemned: list[CondemnedObject] = []
    tallies: dict[str, Mapping[Class, Tally]] = {}
    for seen in sorted(surveys, key=lambda seen: seen.listing.store):
        store, counts = seen.listing.store, _Counts(seen.kept)
        refer, known = mark.references.get(store, {}).get, heads.get(store, {})
        for listed in sorted(seen.pending, key=itemgetter(0)):
            key = listed.key
            verdict = judge.decide(refer(key), known.get(key), key in known)
            counts.add(verdict.verdict, listed.size)
            if verdict.verdict in CONDEMNED:
                condemned.append(CondemnedObject(store, listed, verdict))
        tallies[store] = counts.tallies()
    judged = [CondemnedArtifact(a, judge.artifact(a.run, a.age_from)) for a in mark.artifacts]
    return Plan(
        objects=tuple(condemned),
        artifacts=tuple(sorted((a for a in judged if a.verdict.verdict in CONDEMNED), key=lambda a: a.artifact.id)),
        tallies=tallies,
        artifact_counts=Counter(a.verdict.verdict for a in judged),
        missing=tuple(_missing(judge, mark, surveys)),
    )


def still_condemned(plan: Plan, mark: Mark, since: Mark, policy: RetentionWish, now: datetime, heads: Heads) -> Plan:
    """Return the part of a plan that what was seen since condemns too, never more.

    Args:
        plan: what was condemned first.
        mark: what it was made from.
        since: the runs that began or ended since, and those that live, with what they refer to.
        policy: what is wanted.
        now: the one instant of the run.
        heads: the metadata that the plan was made with.
    """
    added = {store: _added(mark.references.get(store, {}), found) for store, found in since.references.items()}
    objects = [
        c
        for c in plan.objects
        if c.object.key not in added.get(c.store, ()) and c.object.key.rpartition("/")[2] not in since.unlocated
    ]
    left = replace(plan, objects=tuple(objects))
    if not any(is_live(run) and run.id in mark.runs and not is_live(mark.runs[run.id]) for run in since.runs.values()):
        return left
    # A run came back to life, and with it all that it owns.
    later = later_mark(mark, since)
    judge = Judge(later, policy, now)
    return replace(
        left,
        objects=tuple(c for c in left.objects if _condemns(c, judge, later, heads)),
        artifacts=tuple(
            c for c in left.artifacts if judge.artifact(c.artifact.run, c.artifact.age_from).verdict in CONDEMNED
        ),
    )


def later_mark(mark: Mark, since: Mark) -> Mark:
    """Return a mark together with what was seen since: newer runs replace older ones, references add up."""
    references = {store: dict(known) for store, known in mark.references.items()}
    for store, found in since.references.items():
        known = references.setdefault(store, {})
        for key, added in found.items():
            known[key] = (*known.get(key, ()), *added)
    runs = dict(mark.runs)
    for run_id, run in since.runs.items():
        earlier = runs.get(run_id)
        runs[run_id] = run if run.owner or earlier is None else run._replace(owner=earlier.owner)
    return replace(
        mark,
        runs=runs,
        references=references,
        unlocated=mark.unlocated | since.unlocated,
    )


def _condemns(condemned: CondemnedObject, judge: Judge, mark: Mark, heads: Heads) -> bool:
    store, listed, verdict = condemned
    references = mark.references.get(store, {}).get(listed.key)
    exclusive = verdict.verdict is Class.ORPHAN
    seen = judge.glance(listed, references, frozenset(), exclusive)
    if seen is None:
        seen = judge.decide(references, heads[store][listed.key])
    return seen.verdict in CONDEMNED


def _added(known: Mapping[str, tuple[Reference, ...]], found: Mapping[str, tuple[Reference, ...]]) -> frozenset[str]:
    return frozenset(key for key, references in found.items() if not set(references) <= set(known.get(key, ())))


class _Counts:
    def __init__(self, tallies: Mapping[Class, Tally] | None = None) -> None:
        self._objects = Counter({found: tally.objects for found, tally in (tallies or {}).items()})
        self._bytes = Counter({found: tally.bytes for found, tally in (tallies or {}).items()})

    def add(self, found: Class, size: int) -> None:
        self._objects[found] += 1
        self._bytes[found] += size

    def tallies(self) -> dict[Class, Tally]:
        return {found: Tally(self._objects[found], self._bytes[found]) for found in Class if self._objects[found]}


def _missing(judge: Judge, mark: Mark, surveys: Sequence[Survey]) -> Iterable[Missing]:
    for seen in surveys:
        references = mark.references.get(seen.listing.store, {})
        absent = references.keys() - {listed.key for listed in seen.listing.objects}
        for key in sorted(absent):
            for reference in references[key]:
                yield Missing(seen.listing.store, key, reference.run, _standing(judge, reference.run))


def _standing(judge: Judge, run: str) -> Class:
    verdict, _, ended_ns, results_ns, _ = judge.standings[run]
    inside = verdict is Class.EXPIRED and results_ns is not None and ended_ns + results_ns > nanoseconds(judge.now)
    return Class.RETAINED if inside else verdict
