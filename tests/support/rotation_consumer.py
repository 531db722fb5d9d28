"""What depends on a secret while it is rotated: reads the current one anew, logs in, and writes down how it went.

It knows nothing of rotations. ``judge`` is the checker: which of its looks may not have failed.
"""

import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

SETTINGS = "consumer.json"
CALLS = "calls.jsonl"
LOOKS = "looks.jsonl"


@dataclass(frozen=True)
class Look:
    """One attempt: when it began and ended (seconds since 1970), and what was wrong, if anything."""

    began: float
    ended: float
    problem: str


def look(folder: Path) -> Look:
    """Read the estate's current secret and use it."""
    settings = json.loads((folder / SETTINGS).read_text())
    began = time.time()
    values = dotenv_values(folder / ".env", interpolate=False)
    problem = "" if values.get("OTHER") == "keep me" else "the file is not complete"
    if not problem and not values.get(settings["key"]):
        problem = "there is no current value"
    if not problem and settings["port"]:
        user = values.get(settings["user_key"]) if settings["user_key"] else settings["user"]
        problem = login(settings["port"], str(user), str(values[settings["key"]]))
    return Look(began, time.time(), problem)


def login(port: int, user: str, password: str) -> str:
    import psycopg

    try:
        psycopg.connect(
            host="127.0.0.1", port=port, dbname="postgres", user=user, password=password, connect_timeout=10
        ).close()
    except psycopg.OperationalError as error:
        return "the login was refused" if "authentication failed" in str(error) else f"no answer: {error}"
    return ""


def judge(kind: str, looks: Iterable[Look], windows: Iterable[tuple[float, float]]) -> list[str]:
    """Return what may not have happened: any failure, but for one slot those between apply and promote.

    Args:
        kind: of the target.
        looks: what the consumer saw.
        windows: from the beginning of each apply to the end of the promotion that follows.
    """
    allowed = list(windows) if kind == "single-slot" else []
    return [
        f"{seen.problem} at {seen.began:.3f}"
        for seen in looks
        if seen.problem and not any(seen.began <= end and seen.ended >= start for start, end in allowed)
    ]


def windows(calls: Iterable[Mapping[str, object]]) -> list[tuple[float, float]]:
    """Return when the target and the stored value may disagree, from the calls that were made."""
    found: list[tuple[float, float]] = []
    applied = False
    for call in calls:
        at, made = float(str(call["at"])), (call["name"], call["side"])
        if made == ("apply", "before") and not applied:
            # An earlier one that was killed before its effect opened nothing.
            found = [*(w for w in found if w[1] != float("inf")), (at, float("inf"))]
        elif made == ("apply", "after"):
            applied = True
        elif made == ("write .env", "after") and applied:
            found[-1] = (found[-1][0], at)
            applied = False
    return found


def watch(root: Path, pause: float) -> None:
    """Look at every estate below ``root`` in turn, for ever."""
    while os.getppid() != 1:
        for settings in sorted(root.glob(f"*/{SETTINGS}")):
            write_down(settings.parent, look(settings.parent))
            time.sleep(pause)
        time.sleep(pause)


def write_down(folder: Path, seen: Look) -> None:
    with (folder / LOOKS).open("a") as file:
        file.write(json.dumps([seen.began, seen.ended, seen.problem]) + "\n")


def looks(folder: Path) -> list[Look]:
    path = folder / LOOKS
    rows = path.read_text().splitlines() if path.exists() else []
    return [Look(*json.loads(row)) for row in rows]


def calls(folder: Path) -> list[dict[str, object]]:
    path = folder / CALLS
    return [json.loads(row) for row in path.read_text().splitlines()] if path.exists() else []


def main() -> None:
    watch(Path(sys.argv[1]), float(sys.argv[2]))
