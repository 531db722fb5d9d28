"""The model search as a table: ``python -m support.rotation_model`` in ``tests``, with ``--deep`` for larger bounds."""

import sys
import time
from collections.abc import Iterator

from support.rotation_search import CHECKED, KEPT, LOOSE, NONE, Found, Search
from support.rotation_world import MINT, Setting

from rules.rotation import TargetKind

HOLD = {
    "one run": lambda kind, deep: Search(Setting(kind), crashes=4 if deep else 3, versions=3 if deep else 2),
    "two runs, a lease lost only by the dead": lambda kind, deep: Search(
        Setting(kind), runners=2, crashes=3 if deep else 2, lease=KEPT
    ),
    "two runs, a lease lost alive, not during a target call": lambda kind, deep: Search(
        Setting(kind), runners=2, crashes=int(deep), losses=2 if deep else 1, lease=CHECKED
    ),
    "last writer wins, a perfect lease": lambda kind, deep: Search(
        Setting(kind, compares=False), runners=2, crashes=3 if deep else 2
    ),
    "a value is refused by the target's rules": lambda kind, _: Search(Setting(kind, rejects=1), crashes=2, versions=3),
    "rotations and roll-backs": lambda kind, _: Search(Setting(kind), crashes=1, orders=("rotate", "roll-back")),
    "rotations and emergencies": lambda kind, _: Search(Setting(kind), crashes=1, orders=("rotate", "emergency")),
}
"""What every law has to hold in, for each kind of target."""

HOLD_MINT = {
    "a stranger's key, room for 3": lambda deep: Search(
        Setting(MINT, capacity=3, strangers=("s",)), crashes=4 if deep else 3
    ),
    "the target refuses to mint, twice": lambda deep: Search(Setting(MINT), crashes=2 if deep else 1, refusals=2),
    "hours pass after the credentials there are were noted": lambda deep: Search(
        Setting(MINT), crashes=3 if deep else 2, waits=2
    ),
    "the target tells which key was used": lambda deep: Search(Setting(MINT, tells_use=True), crashes=4 if deep else 3),
}
"""The same for targets that mint."""

LIMITS = {
    "a lease lost alive, between its check and the call": lambda kind: Search(
        Setting(kind), runners=2, losses=1, lease=LOOSE
    ),
    "no lease, a store that compares": lambda kind: Search(
        Setting(kind), runners=2, versions=2, lease=NONE, most=15_000
    ),
    "no lease, last writer wins": lambda kind: Search(
        Setting(kind, compares=False), runners=2, versions=2, lease=NONE, most=20_000
    ),
}
"""What no rules can make safe: a target cannot be fenced. A search that finds enough is cut."""


def holding(*, deep: bool = False) -> Iterator[tuple[str, str, Search]]:
    """Yield kind, scenario and search for everything in which every law has to hold."""
    for kind in TargetKind:
        for name, search in HOLD.items():
            yield kind.value, name, search(kind, deep)
    for name, search in HOLD_MINT.items():
        yield MINT.value, name, search(deep)


def row(kind: str, name: str, search: Search) -> tuple[str, Found]:
    """Return a line of the table, and what was found."""
    began = time.perf_counter()
    found = search.run()
    laws = ", ".join(sorted({law.split(":")[0] for law in found.broken})) or "every law holds"
    states = f"{found.states:,}{'+' if found.states > search.most else ''}"
    faults = f"{search.crashes} crashes"
    return f"{kind:12} {name:54} {faults} {states:>9} states {time.perf_counter() - began:5.1f} s  {laws}", found


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Print the table; return how many searches found a broken law where none may be."""
    deep, broken = "--deep" in sys.argv[1:], 0
    for kind, name, search in holding(deep=deep):
        line, found = row(kind, name, search)
        broken += bool(found.broken)
        say(line)
    say("\nWhat no rules can make safe:")
    for kind in TargetKind:
        for name, search in LIMITS.items():
            say(row(kind.value, name, search(kind))[0])
    return broken


if __name__ == "__main__":
    sys.exit(main())
