"""What it costs to sweep a local result store: plan, digest, second look and unlinking, against ``find`` and pathlib.

Every round makes the same files again for every subject (not timed): as many as asked for, a hundred in a directory,
every second one old. Each subject deletes the old ones in a process of its own, so that none inherits another's memory
or threads. What counts is processor time, from before the first directory is opened until the last file is gone,
without the start of the interpreter: on a disk in memory nothing waits, and what else runs does not matter.

The sweep is that of ``enforce_retention``: judge the runs, list, judge each file by them, read the first bytes of what
would go, plan, digest, look again at runs and files, unlink. Reading the runs is the API's time, so they are made
beforehand. Flow results are bare bytes, task results carry metadata.

    python benchmarks/local_sweep.py [--files N] [--rounds N] [--folder DIR] [--json FILE]
"""

import argparse
import gc
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from blocks.policies.retention import RetentionPolicy
from blocks.result_stores.local_disk import LocalDiskStore
from rules.retention.judging import Judge
from rules.retention.observed import Listing, Mark, Reference, Run
from rules.retention.planning import make_plan, still_condemned, survey

ROOT = Path(__file__).resolve().parents[1]
IN_A_FOLDER = 100
OLD = 40 * 86_400
FIND = "find -mtime +30 -delete"
METADATA = (
    b'{"metadata":{"storage_key":"%s","expiration":null,"serializer":{"type":"pickle","picklelib":"cloudpickle",'
    b'"picklelib_version":null},"prefect_version":"3.8.8","storage_block_id":null},"result":"gAVLAS4=\\n"}'
)
BARE = b"gAVLKi4=\n" * 40
GOAL = 1.75
"""The most that the sweep of flow results may cost, as a multiple of ``find``."""


def make_files(folder: Path, count: int, *, records: bool) -> None:
    """Write ``count`` files, every second one old."""
    old = time.time() - OLD
    for number in range(count):
        place = folder / f"{number // IN_A_FOLDER:06x}"
        if number % IN_A_FOLDER == 0:
            place.mkdir(parents=True)
        path = place / f"{number:032x}"
        path.write_bytes(METADATA % path.name.encode() if records else BARE)
        if number % 2:
            os.utime(path, (old, old))


def cpu_seconds() -> float:
    """Return the processor time that this process and its children have used: it does not depend on what else runs."""
    return sum(os.times()[:4])


def by_find(folder: Path, count: int) -> float:
    """Delete with GNU find."""
    del count
    began = cpu_seconds()
    subprocess.run(["find", str(folder), "-type", "f", "-mtime", "+30", "-delete"], check=True)
    return began


def by_pathlib(folder: Path, count: int) -> float:
    """Delete with pathlib, as a script would."""
    del count
    began, limit = cpu_seconds(), time.time() - 30 * 86_400
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_mtime < limit:
            path.unlink()
    return began


def by_directory_descriptors(folder: Path, count: int) -> float:
    """Delete with scandir, stat and unlink below directory descriptors, and nothing else: the floor of Python."""
    del count
    began, limit = cpu_seconds(), time.time() - 30 * 86_400
    for place in os.scandir(folder):
        descriptor = os.open(place.path, os.O_RDONLY)
        with os.scandir(descriptor) as entries:
            names = [e.name for e in entries if e.stat(follow_symlinks=False).st_mtime < limit]
        for name in names:
            os.unlink(name, dir_fd=descriptor)
        os.close(descriptor)
    return began


def by_sweep(folder: Path, count: int) -> float:
    """Delete as ``enforce_retention`` does; return when it began, after the mark was made."""
    rule = {"name": "everything", "match": {"all": True}, "results": "30d"}
    document = {"version": 1, "name": "bench", "stores": [{"block": "default"}], "rules": [rule], "caches": "expire"}
    policy = RetentionPolicy(**document)
    now = datetime.now(UTC)
    mark = a_mark(count, now)
    store = LocalDiskStore("default", str(folder))
    gc.freeze()
    began = cpu_seconds()
    judge = Judge(mark, policy, now)
    seen = survey(judge, mark, Listing("default", False, tuple(store.list_objects())))
    heads = {"default": dict(store.read_metadata(seen.pending))}
    plan = make_plan(judge, mark, [seen], heads)
    assert plan.digest
    left = still_condemned(plan, mark, a_mark(count // 100, now), policy, now, heads)
    for _ in store.delete([condemned.object for condemned in left.objects]):
        pass
    return began


def a_mark(count: int, now: datetime) -> Mark:
    """Return the mark of a workspace in which every file is the result of one flow run."""
    ended = now - timedelta(seconds=OLD)
    runs, references = {}, {}
    for number in range(count):
        run = f"run-{number}"
        runs[run] = Run(run, "flow", "", frozenset(), "COMPLETED", 0, 1, ended, ended, None, True)
        references[f"{number // IN_A_FOLDER:06x}/{number:032x}"] = (Reference(run, False, None),)
    return Mark(now, runs, {"default": references}, frozenset(), {}, ())


SUBJECTS: dict[str, Callable[[Path, int], float]] = {
    FIND: by_find,
    "directory descriptors": by_directory_descriptors,
    "pathlib.rglob": by_pathlib,
    "enforce_retention": by_sweep,
}
CASES = {"flow results": False, "task results": True}


def time_subject(subject: str, folder: Path, count: int) -> float:
    """Return the seconds that a subject takes, in a process of its own, and check that it did its work."""
    command = [sys.executable, __file__, "--one", subject, "--folder", str(folder), "--files", str(count)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PREFECT_HOME": str(folder.parent / "home")}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    left = sum(len(files) for _, _, files in os.walk(folder))
    if left != count - count // 2:
        raise SystemExit(f"{subject} left {left} of {count} files")
    return float(done.stdout.split()[-1])


def measure(count: int, rounds: int, parent: Path) -> list[dict[str, Any]]:
    """Return the rows of all cases: medians over the rounds, every subject in every round, in turn."""
    rows = []
    for case, records in CASES.items():
        seconds: dict[str, list[float]] = {subject: [] for subject in SUBJECTS}
        for _ in range(rounds):
            for subject, taken in seconds.items():
                folder = parent / "store"
                make_files(folder, count, records=records)
                taken.append(time_subject(subject, folder, count))
                shutil.rmtree(folder)
        floor = statistics.median(seconds[FIND])
        for subject, taken in seconds.items():
            value = statistics.median(taken)
            goal = GOAL if (subject, case) == ("enforce_retention", "flow results") else None
            row = {"case": f"{case}, {count} files", "subject": subject, "unit": "CPU s", "value": round(value, 3)}
            ratio = round(value / floor, 2)
            rows.append(row | {"ratio": ratio, "goal": goal, "met": None if goal is None else ratio <= goal})
    return rows


def main() -> int:
    """Measure, print the table, write the rows; exit 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the files are made; memory if there is any")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        began = SUBJECTS[options.one](options.folder, options.files)
        print(cpu_seconds() - began)
        return 0
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=options.folder or (memory if memory.is_dir() else None)) as folder:
        rows = measure(options.files, options.rounds, Path(folder))
    for row in rows:
        met = {None: "", True: "met", False: "missed"}[row["met"]]
        print(f"{row['case']:<28} {row['subject']:<24} {row['value']:>8.3f} CPU s {row['ratio']:>6.2f} x {met}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    return 0 if all(row["met"] is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
