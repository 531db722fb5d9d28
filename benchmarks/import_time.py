"""What importing each flow costs over importing the same parts of Prefect and defining an empty flow.

Every round starts one fresh interpreter a subject, in turn, so that a busy moment of the machine hits all of them. Byte
code is compiled beforehand into a folder of its own (PYTHONDONTWRITEBYTECODE is often set, and would have us measure
the compiler), and each process times only its import, not the start of the interpreter. What is measured is processor
time: importing hardly waits for anything but the processor, and the clock on the wall also counts what others run.

    python benchmarks/import_time.py [--rounds N] [--json FILE]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
GOAL = 1.15
"""The most that importing a flow may cost, as a multiple of the floor."""

FLOOR = "an empty flow and task"
FLOOR_MODULE = "vigiles_import_floor"
FLOOR_SOURCE = '''
"""The parts of Prefect that the flows use, and the least that can be called a flow."""
import prefect.artifacts, prefect.cache_policies, prefect.client.orchestration, prefect.events, prefect.states
from prefect import flow, get_run_logger, task
from prefect.blocks.core import Block
from prefect.client.schemas.objects import State
from prefect.filesystems import LocalFileSystem
from prefect.settings import get_current_settings

class FloorBlock(Block):
    """A block."""
    name: str

@task
def empty_task() -> None:
    """Do nothing."""

@flow
def empty_flow(policy: FloorBlock, mode: str = "audit") -> State:
    """Do nothing."""
'''
FLOWS = ("flows.rotate_secrets", "flows.verify_placement", "flows.enforce_retention", "flows.report_rbac_drift")

TIMED = """
import sys, time
started = time.process_time()
__import__(sys.argv[1])
print(time.process_time() - started)
"""


class BenchmarkError(Exception):
    """A subject could not be measured."""


def time_import(module: str, environment: dict[str, str]) -> float:
    """Return the CPU seconds that a fresh interpreter takes to import ``module``.

    Raises:
        BenchmarkError: if it cannot be imported.
    """
    command = [sys.executable, "-c", TIMED, module]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise BenchmarkError(f"{module} cannot be imported: {reason[0]}")
    return float(done.stdout)


def environment_with(folder: Path) -> dict[str, str]:
    """Return an environment whose byte code and Prefect home are in ``folder``, and that has no profile or API."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_") and k != "PYTHONDONTWRITEBYTECODE"}
    mine = {"PYTHONPYCACHEPREFIX": str(folder / "pycache"), "PREFECT_HOME": str(folder / "home")}
    return {**kept, **mine, "PYTHONPATH": str(folder)}


def measure(subjects: dict[str, str], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of every round by subject; a first round that compiles the byte code is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"{FLOOR_MODULE}.py").write_text(FLOOR_SOURCE)
        environment = environment_with(Path(folder))
        for module in subjects.values():
            time_import(module, environment)
        seconds: dict[str, list[float]] = {name: [] for name in subjects}
        for _ in range(rounds):
            for name, module in subjects.items():
                seconds[name].append(time_import(module, environment))
    return seconds


def rows_of(seconds: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Return the medians as rows; the ratio is the median of each round's own, which cancels a slow round."""
    rows = []
    for name, values in seconds.items():
        ratio = statistics.median(value / floor for value, floor in zip(values, seconds[FLOOR], strict=True))
        is_floor = name == FLOOR
        rows.append(
            {
                "case": "import",
                "subject": name,
                "unit": "CPU s",
                "value": round(statistics.median(values), 4),
                "ratio": round(ratio, 3),
                "goal": None if is_floor else GOAL,
                "met": None if is_floor else round(ratio, 3) <= GOAL,
            }
        )
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as text."""
    words = {None: "", True: "met", False: "MISSED"}
    lines = [f"{'subject':<28} {'CPU s':>8} {'ratio':>6} {'goal':>5}"]
    lines += [
        f"{r['subject']:<28} {r['value']:>8} {r['ratio']:>6} {r['goal'] or '':>5} {words[r['met']]}" for r in rows
    ]
    return "\n".join(lines)


def main() -> int:
    """Measure, print the table, and write the rows; 1 if a goal is missed, 3 if something could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="fresh processes a subject (default 7)")
    parser.add_argument("--json", type=Path, help="write the rows here")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds is at least 1")
    try:
        seconds = measure({FLOOR: FLOOR_MODULE, **{name: name for name in FLOWS}}, options.rounds)
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 3
    rows = rows_of(seconds)
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0 if all(r["met"] is not False for r in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
