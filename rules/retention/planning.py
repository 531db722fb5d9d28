"""The plan: everything that is condemned, with its digest; the same facts always give the same plan.

First ``survey`` settles what can be settled without reading an object, then ``make_plan`` settles the rest with the
metadata that was read meanwhile. ``still_condemned`` judges a plan again with what was seen since.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from rules.retention.judging import CONDEMNED, Judge, Verdict
from rules.retention.observed import Artifact, Class, Listing, Mark, Metadata, Reference, StoredObject

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


class Settled(NamedTuple):
    """An object of a store with what becomes of it."""

    object: StoredObject
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Survey:
    """What a first look at one store settled.

    Attributes:
        listing: what the store holds.
        settled: the objects that are kept, whatever their metadata says.
        pending: the objects whose metadata decides.
    """

    listing: Listing
    settled: tuple[Settled, ...]
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
    settled: list[Settled] = []
    pending: list[StoredObject] = []
    for listed in listing.objects:
        verdict = judge.glance(listed, references.get(listed.key), locks, listing.exclusive)
        if verdict is None:
            pending.append(listed)
        else:
            settled.append(Settled(listed, verdict))
    return Survey(listing, tuple(settled), tuple(pending))


def make_plan(judge: Judge, mark: Mark, surveys: Sequence[Survey], heads: Heads) -> Plan:
    """Return what is condemned.

    Args:
        judge: made from the same mark.
        mark: what could refer to a result.
        surveys: one a store.
        heads: the metadata of the pending objects.
    """
    condemned: list[CondemnedObject] = []
    tallies: dict[str, dict[Class, Tally]] = {}
    for seen in surveys:
        store = seen.listing.store
        decided = _decide(judge, mark.references.get(store, {}), seen.pending, heads.get(store, {}))
        condemned += (CondemnedObject(store, o, v) for o, v in decided if v.verdict in CONDEMNED)
        tallies[store] = _tally([*seen.settled, *decided])
    judged = [CondemnedArtifact(a, judge.artifact(a.run, a.age_from)) for a in mark.artifacts]
    return Plan(
        objects=tuple(sorted(condemned, key=lambda c: (c.store, c.object.key))),
        artifacts=tuple(sorted((a for a in judged if a.verdict.verdict in CONDEMNED), key=lambda a: a.artifact.id)),
        tallies=tallies,
        artifact_counts=Counter(a.verdict.verdict for a in judged),
        missing=tuple(_missing(judge, mark, surveys)),
    )


def still_condemned(plan: Plan, judge: Judge, mark: Mark, heads: Heads) -> Plan:
    """Return the part of a plan that a later mark condemns too, never more.

    Args:
        plan: what was condemned first.
        judge: made from the later mark.
        mark: the first mark with what was seen since; see ``later_mark``.
        heads: the metadata that the plan was made with.
    """
    objects = [c for c in plan.objects if _condemns(c, judge, mark, heads)]
    artifacts = [c for c in plan.artifacts if judge.artifact(c.artifact.run, c.artifact.age_from).verdict in CONDEMNED]
    return replace(plan, objects=tuple(objects), artifacts=tuple(artifacts))


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


def _decide(
    judge: Judge,
    references: Mapping[str, tuple[Reference, ...]],
    pending: Iterable[StoredObject],
    heads: Mapping[str, Metadata | None],
) -> list[Settled]:
    decide, refer = judge.decide, references.get
    return [
        Settled(listed, decide(refer(listed.key), heads.get(listed.key), listed.key in heads)) for listed in pending
    ]


def _tally(settled: Iterable[Settled]) -> dict[Class, Tally]:
    objects: Counter[Class] = Counter()
    sizes: Counter[Class] = Counter()
    for listed, verdict in settled:
        objects[verdict.verdict] += 1
        sizes[verdict.verdict] += listed.size
    return {found: Tally(objects[found], sizes[found]) for found in Class if objects[found]}


def _missing(judge: Judge, mark: Mark, surveys: Sequence[Survey]) -> Iterable[Missing]:
    for seen in surveys:
        present = {listed.key for listed in seen.listing.objects}
        for key, references in sorted(mark.references.get(seen.listing.store, {}).items()):
            if key not in present:
                for reference in references:
                    yield Missing(seen.listing.store, key, reference.run, _standing(judge, reference.run))


def _standing(judge: Judge, run: str) -> Class:
    verdict, _, ended, results, _ = judge.standings[run]
    inside = verdict is Class.EXPIRED and results is not None and ended + results > judge.now
    return Class.RETAINED if inside else verdict
