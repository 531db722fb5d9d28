"""Everything that a run of a rotation says: log lines, errors and what hangs on them, findings, changes, journal."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Self

from support.rotation_events import Said
from support.stores.faults import told

from blocks.policies.rotation import SecretEntry
from flows.rotating.performing import Rotation
from rules.errors import VigilesError
from rules.findings import Subject
from rules.rotation import NORMAL, Decision, Observation, Order, plan, verdicts

SUBJECT = Subject("secret", "p/s", "s")


class LogLines(logging.Handler):
    """Every line that any logger writes while in the context, from INFO on: below that, vendors log whole requests."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._lines: list[str] = []

    def __enter__(self) -> Self:
        root = logging.getLogger()
        self._before = root.level, root.handlers
        # Nobody else has to hear of thousands of runs.
        root.handlers = [self]
        root.setLevel(logging.INFO)
        return self

    def __exit__(self, *_: object) -> None:
        root = logging.getLogger()
        root.level, root.handlers = self._before

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(f"{record.getMessage()} {record.args!r} {record.exc_info!r}")


def texts_of(
    rotation: Rotation,
    secret: SecretEntry,
    observation: Observation | None = None,
    decision: Decision | None = None,
    *,
    error: VigilesError | None = None,
    now: datetime | None = None,
    order: Order = NORMAL,
) -> list[Said]:
    """Return what the run says, as ``flows.rotating.one_secret`` reports it."""
    said = [Said("change", repr(verdicts.done(SUBJECT, step))) for step in rotation.steps]
    if rotation.state is not None:
        journal = rotation.state.journal
        said += [Said("state", repr(rotation.state)), Said("journal", json.dumps(journal.to_json()))]
    if error is not None:
        said += [Said("error", told(error)), Said("finding", repr(verdicts.interrupted(SUBJECT, rotation.step, error)))]
        if rotation.step is not None:
            said.append(Said("change", repr(verdicts.undone(SUBJECT, rotation.step, error))))
    if observation is not None:
        coming = plan(observation, secret, now or datetime.now(UTC), order)
        found = verdicts.judge(SUBJECT, secret, observation, coming, enforced=True)
        said += [Said("finding", repr(finding)) for finding in found]
        said += [Said("observation", repr(observation)), Said("decision", repr(decision)), Said("plan", repr(coming))]
    return said
