"""The proof of the rotations: all of the fault matrix, the model search, and random kills.

``PYTHONPATH=tests python -m proof.rotation [matrix] [model] [kills]`` with ``--stores vault-kv,env-file``, ``--kinds
dual``, ``--plots rotation`` and ``--seeds 200`` to narrow it.

The matrix is played over each store's simulator and over what is nearest to its service; the servers are started and
stopped here. It prints Markdown, and exits with 1 if anything failed.
"""

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = ("matrix", "model", "kills")
COMMANDS = {"model": "support.rotation_model", "kills": "support.random_kills"}
EVERY_SCENARIOS = 100

if __name__ == "__main__":
    # Before Prefect is imported, here and in the processes that play: nothing may use the caller's own home or profile.
    os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="vigiles-proof-home-")
    os.environ["PREFECT_LOGGING_LEVEL"] = "ERROR"
    # Brings in the backends that take too long for tests.
    os.environ["VIGILES_PROOF"] = "1"
    os.environ.pop("PREFECT_API_URL", None)


@dataclass(frozen=True)
class Job:
    """One store, kind of target and plot, over one entry of the catalogue."""

    store: str
    entry: str
    kind: str
    plot: str


def say(line: str = "") -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def play(job: Job, servers: tuple[Any, ...]) -> Any:
    """Play every scenario of a job, in a process of its own."""
    from support.fault_matrix import run_cell
    from support.matrix_backends import backends, entry_named

    # The checker reads every line that a run logs; nobody has to read those of the consumer.
    logging.getLogger().handlers = [logging.NullHandler()]

    def tell(cell: Any) -> None:
        if cell.total % EVERY_SCENARIOS == 0:
            say(f"  {job.entry} x {job.kind}, {job.plot}: {cell.total} scenarios, {len(cell.failures)} failed")

    with tempfile.TemporaryDirectory(prefix="vigiles-matrix-") as folder:
        return run_cell(backends(entry_named(job.entry), Path(folder), servers), job.kind, tell=tell, plot=job.plot)


def jobs(stores: Sequence[str], kinds: Sequence[str], plots: Sequence[str]) -> Iterator[Job]:
    """Yield what has to be played: rotations over what is nearest to each service, every plot over its simulator."""
    from support.matrix_backends import IN_PROCESS, SERVED

    # The services first: the longest jobs should not begin last.
    nearest = [(store, SERVED[store]) for store in stores if SERVED.get(store, IN_PROCESS[store]) != IN_PROCESS[store]]
    for store, entry in nearest:
        yield from (Job(store, entry, kind, "rotation") for kind in kinds)
    for store in stores:
        yield from (Job(store, IN_PROCESS[store], kind, plot) for plot in plots for kind in kinds)


def prove_matrix(asked: argparse.Namespace) -> bool:
    """Play the matrix and print its table; return whether every cell holds."""
    from support.fault_matrix import FAULTS, KINDS, PLOTS
    from support.matrix_backends import IN_PROCESS, SERVERS, entry_named

    wanted = list(jobs(asked.stores or list(IN_PROCESS), asked.kinds or KINDS, asked.plots or list(PLOTS)))
    with ExitStack() as running:
        names = {name for job in wanted for name in entry_named(job.entry).fixtures}
        servers = {name: running.enter_context(SERVERS[name]()) for name in sorted(names)}
        if "prefect_api" in servers:
            os.environ["PREFECT_API_URL"] = servers["prefect_api"].url
        cells = list(played(wanted, servers, asked.processes))
    columns = ["store", "stands on", "plot", "target", "calls", "scenarios", *FAULTS, "stale not applicable", "failed"]
    say(f"\n| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for job, cell in sorted(cells, key=lambda pair: wanted.index(pair[0])):
        say(row(job, cell, FAULTS))
    total, failed = (sum(n) for n in zip(*((cell.total, len(cell.failures)) for _, cell in cells), strict=True))
    say(f"\n{total} scenarios in {len(cells)} cells, {failed} failed.")
    for _, cell in cells:
        if cell.failures:
            say(str(cell))
    return not failed and len(cells) == len(wanted)


def row(job: Job, cell: Any, faults: Sequence[str]) -> str:
    """Return the table's row: of each fault, how many scenarios, and how many of them failed."""
    each = [f"{cell.scenarios[f]}" + (f" ({cell.failed(f)} failed)" if cell.failed(f) else "") for f in faults]
    shown = [
        job.store,
        cell.stands_on,
        job.plot,
        job.kind,
        cell.calls,
        cell.total,
        *each,
        cell.not_applicable["stale-read"],
    ]
    return f"| {' | '.join(map(str, shown))} | {len(cell.failures)} |"


def played(wanted: Sequence[Job], servers: dict[str, Any], processes: int) -> Iterator[tuple[Job, Any]]:
    """Yield each job's cell when it is done; one that could not be played is told and left out."""
    from support.matrix_backends import entry_named

    # Not forked: clients and their threads must not be shared.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        started: dict[Future[Any], Job] = {}
        for job in wanted:
            needed = tuple(servers[name] for name in entry_named(job.entry).fixtures)
            started[pool.submit(play, job, needed)] = job
        for future in as_completed(started):
            job = started[future]
            try:
                cell = future.result()
            except Exception as error:  # noqa: BLE001 - one store that cannot be played must not hide the others
                say(f"FAILED {job.entry} x {job.kind}, {job.plot}: {error!r}")
                continue
            say(f"done {job.entry} x {job.kind}, {job.plot}: {cell.total} scenarios, {len(cell.failures)} failed")
            yield job, cell


def prove_by(section: str, asked: argparse.Namespace) -> bool:
    """Run the section's own program; return whether it is content."""
    options = ["--seeds", str(asked.seeds)] if section == "kills" else []
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    command = [sys.executable, "-m", COMMANDS[section], *options]
    return subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode == 0


def main() -> int:
    """Prove what is asked for, everything by default; return 1 if anything failed."""
    parser = argparse.ArgumentParser(description="Prove the rotations.")
    parser.add_argument("sections", nargs="*", metavar="|".join(SECTIONS))
    parser.add_argument("--stores", type=lambda text: text.split(","))
    parser.add_argument("--kinds", type=lambda text: text.split(","))
    parser.add_argument("--plots", type=lambda text: text.split(","))
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--processes", type=int, default=max(2, os.cpu_count() or 2))
    asked = parser.parse_args()
    if unknown := set(asked.sections) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    failed = []
    for section in asked.sections or SECTIONS:
        say(f"\n## {section}\n")
        began = time.monotonic()
        holds = prove_matrix(asked) if section == "matrix" else prove_by(section, asked)
        failed += [] if holds else [section]
        say(f"\n{section}: {'holds' if holds else 'FAILED'} ({time.monotonic() - began:.0f} s)")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
