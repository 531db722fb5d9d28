"""What a person ordered for a run: which secrets, and what to do with them."""

from datetime import datetime

from blocks.policies.nearest import quoted
from blocks.policies.rotation import RotationPolicy, SecretEntry
from rules.errors import BadInputError
from rules.rotation import Action, Order


def order_of(action: str, now: datetime, *, accept_outage: bool) -> Order:
    """Return the order.

    Args:
        action: rotate, roll-back or emergency.
        now: the instant of the run (aware, UTC), from which an emergency counts.
        accept_outage: whether consumers may be cut off, in an emergency.
    """
    return Order(Action(action), now if action == Action.EMERGENCY else None, accept_outage)


def chosen(policy: RotationPolicy, names: list[str]) -> tuple[SecretEntry, ...]:
    """Return the entries of the policy that a run is for, all of them where no names are given."""
    return tuple(entry for entry in policy.entries() if not names or entry.name in names)


def check(policy: RotationPolicy, names: list[str], action: str, *, accept_outage: bool) -> None:
    """Check that an order fits the policy.

    Raises:
        BadInputError: if a name is not one of the policy's, if none is given where one is needed, or if an outage is
            accepted for anything but an emergency.
    """
    known = {secret.name for secret in policy.secrets}
    unknown = [name for name in names if name not in known]
    if unknown:
        words = ", ".join(map(quoted, unknown))
        raise BadInputError(f"The policy {policy.name} has no secret {words}.", "Give names from the policy.")
    if not names and action != Action.ROTATE:
        raise BadInputError(f"`{action}` is for secrets that are named, and none is.", "Name them.")
    if accept_outage and action != Action.EMERGENCY:
        raise BadInputError("An outage can be accepted in an emergency only.", "Leave that out, or order an emergency.")
