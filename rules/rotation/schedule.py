"""When a rotation is due, and whether it may begin now: period, jitter, expiry, windows, blackouts, emergencies."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from rules.durations import format_duration
from rules.rotation.blackouts import parse_blackout
from rules.rotation.observations import Observation, SecretPolicy
from rules.rotation.steps import Done, Order, when
from rules.rotation.windows import parse_window

_NEVER = timedelta(days=36_600)
_LONGEST = 500
_AHEAD = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Due:
    """A rotation that may begin now.

    Attributes:
        reason: why, in plain English.
        since: since when it is due (aware, UTC), or None for a secret that was never rotated.
    """

    reason: str
    since: datetime | None


def due(o: Observation, policy: SecretPolicy, now: datetime, order: Order) -> Due | Done:
    """Return whether a rotation may begin now, or until when there is nothing to do.

    Args:
        o: what is true now.
        policy: the secret's entry in the policy.
        now: the instant of the run (aware, UTC).
        order: what is wanted.
    """
    rotated_at = o.journal.rotated_at
    if order.emergency and order.since is not None and (rotated_at is None or rotated_at < order.since):
        return Due("An emergency was declared: schedule, windows and blackouts do not count.", order.since)
    due_at, reason = _due_at(o, policy, now)
    if due_at is not None and now < due_at:
        return Done(f"Not due before {when(due_at)}.", due_at)
    opening, waits_for = next_opening(policy, now)
    if opening > now:
        expires = expiry(o)
        late = expires is not None and expires <= opening
        rest = " It expires before that." if late else ""
        return Done(f"{reason} {waits_for} {when(opening)}.{rest}", opening, due=True, late=late)
    return Due(reason, due_at)


def next_opening(policy: SecretPolicy, now: datetime) -> tuple[datetime, str]:
    """Return when a rotation may begin next, ``now`` itself where it may, and what it waits for in a few words."""
    window = parse_window(policy.window) if policy.window else None
    blackouts = [parse_blackout(text) for text in policy.blackouts]
    instant, words = now, ""
    for _ in range(_LONGEST):
        blackout = next((b for b in blackouts if b.holds(instant)), None)
        if blackout is not None:
            instant, words = blackout.ends, f"A blackout ({blackout.text}) delays it until"
        elif window is not None and not window.is_open(instant):
            instant, words = window.next_opening(instant), words or f"Its window ({window.text}) opens on"
        else:
            return instant, words
    return now + _NEVER, "Its windows lie in blackouts until"


def expiry(o: Observation) -> datetime | None:
    """Return when the current version stops working, by the store or by the target, or None where neither says."""
    account = o.accounts.get(o.current) if o.current else None
    at_target = [c.expires_at for c in o.credentials or () if c.id == account and c.expires_at is not None]
    return min([*at_target, *([o.expires_at] if o.expires_at else [])], default=None)


def expires_first(o: Observation, policy: SecretPolicy, now: datetime) -> datetime | None:
    """Return when the current version expires, if that is before any rotation of it can begin, else None."""
    instants = [_due_at(o, policy, now)[0], o.journal.retire_after]
    begins, expires = max([i for i in instants if i is not None], default=None), expiry(o)
    return expires if begins is not None and expires is not None and expires <= begins else None


def describe_schedule(policy: SecretPolicy) -> str:
    """Return when the policy wants the secret rotated, in a few words."""
    parts = [f"every {format_duration(policy.every)}"]
    if policy.jitter:
        parts.append(f"up to {format_duration(policy.jitter)} earlier")
    if policy.window:
        parts.append(f"beginning in {policy.window}")
    if policy.blackouts:
        parts.append(f"not on {', '.join(policy.blackouts)}")
    if policy.before_expiry:
        parts.append(f"at the latest {format_duration(policy.before_expiry)} before it expires")
    return ", ".join([*parts, f"grace {format_duration(policy.grace)}" if policy.grace else "no grace"])


def _due_at(o: Observation, policy: SecretPolicy, now: datetime) -> tuple[datetime | None, str]:
    rotated_at, expires = o.journal.rotated_at, expiry(o)
    if rotated_at is not None and rotated_at > now + _AHEAD:
        return None, "The journal says that it was rotated in the future: a clock was wrong."
    near = expires - policy.before_expiry if expires is not None and policy.before_expiry else None
    if rotated_at is None:
        # Due at once; an expiry can make it no more so.
        return None, "It was never rotated."
    planned = rotated_at + policy.every - (policy.jitter or timedelta(0)) * _fraction(policy.name, rotated_at)
    # A rotation since then did not move the expiry: another one would not either.
    if near is not None and rotated_at < near < planned:
        return near, f"It expires on {when(expires or near)}."
    return planned, f"It was due on {when(planned)}."


def _fraction(name: str, rotated_at: datetime) -> float:
    """Return a number from 0 to 1 that is the same at every run until the next rotation."""
    digest = hashlib.sha256(f"{name} {rotated_at.isoformat()}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48
