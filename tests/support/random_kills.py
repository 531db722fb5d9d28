"""Rotations that are killed at random moments: OpenBao, PostgreSQL, Redis, Prefect and a consumer, all of them real.

Each seed says which kind of target, how many kills, and at which part of a run's usual time each kill comes: a run
spends most of its time on Prefect, so two thirds of the kills are aimed at the time from its first write to its last.
Whatever is killed is run again until its report is clean. Meanwhile a consumer process uses every secret all the time.

As a command: ``python -m support.random_kills --seeds 200``, with the project and its ``tests`` in ``PYTHONPATH``.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from support import openbao, postgres, prefect_server, redis
from support.flow_drivers import RUN, Drivers, consumer, stopped_itself
from support.prefect_server import PrefectServer
from support.random_consumer import LOOKS
from support.random_estates import GRACE_SECONDS, Estate, PostgresEstate, RedisEstate, Vault
from support.rotation_kills import tell_crashed

EstateMaker = Callable[[Path, str], Estate]

MOST_KILLS = 3
MOST_RUNS = 12
REHEARSALS = 4
LEASE_LAPSES = 62.0
UNREPORTED = 3
"""Of every 20 seeds: those whose killed run nobody reports, so that its lease has to run out."""


@dataclass
class Trial:
    """What became of a seed.

    Attributes:
        seed: from which all of it follows but the operating system's part.
        kind: of the target.
        killed: how far the rotation was at each kill.
        runs: of the flow, killed ones too.
        logins: that the consumer made.
        failures: what a consumer, the last report or the end state showed.
    """

    seed: int
    kind: str
    killed: list[str] = field(default_factory=list)
    runs: int = 0
    logins: int = 0
    failures: list[str] = field(default_factory=list)


class Durations:
    """How long runs take that nobody kills: all of it, and their writes; by kind and half of the rotation."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._measured: dict[tuple[str, str, str], list[float]] = {}

    def note(self, kind: str, half: str, ended: Mapping[str, Any]) -> None:
        with self._lock:
            self._measured.setdefault((kind, half, "start"), []).append(ended["ran"])
            self._measured.setdefault((kind, half, "write"), []).append(ended["wrote"])

    def moment(self, kind: str, half: str, choice: random.Random) -> tuple[str, float]:
        """Draw when to kill: a third at any time of a run, the others at any time of its writes and a bit after."""
        event, stretch = choice.choice([("start", 1.0), ("write", 1.2), ("write", 1.2)])
        with self._lock:
            return event, choice.random() * stretch * median(self._measured[kind, half, event][-6:])


@dataclass
class Trials:
    """All that trials share."""

    drivers: Drivers
    makers: Mapping[str, EstateMaker]
    root: Path
    durations: Durations = field(default_factory=Durations)

    def rehearse(self, number: int) -> None:
        """Rotate an estate without a kill, to know how long that takes while others do the same."""
        trial = Trial(number, sorted(self.makers)[number % len(self.makers)])
        estate = self.makers[trial.kind](self.root, f"rehearsal-{number}")
        self._until_finished(estate, trial, random.Random(number), 0, reported=True)
        assert trial.failures + estate.faults() == []

    def run(self, seed: int) -> Trial:
        """Kill and repeat the rotation of one estate as the seed says."""
        choice = random.Random(seed)
        trial = Trial(seed, sorted(self.makers)[seed % len(self.makers)])
        estate = self.makers[trial.kind](self.root, f"seed-{seed}")
        self._until_finished(estate, trial, choice, choice.randint(1, MOST_KILLS), reported=seed % 20 >= UNREPORTED)
        trial.failures += estate.faults()
        estate.leave()
        trial.logins, failed = looks(estate.folder)
        trial.failures += failed
        return trial

    def broken(self, kind: str, mutant: str) -> list[str]:
        """Rotate an estate with a broken engine, once and without a kill; return what the consumer noticed."""
        estate = self.makers[kind](self.root, f"{kind}-{mutant}")
        self._drive(estate, mutant=mutant)
        estate.leave()
        return looks(estate.folder)[1]

    def _drive(
        self, estate: Estate, kill: tuple[str, float] | None = None, mutant: str | None = None
    ) -> dict[str, Any]:
        """Run the flow over an estate, and kill it so many seconds after its start or its first write."""
        job = {"folder": str(estate.folder), "policy": estate.policy(), "record": estate.watched()}
        return self.drivers.run(job | {"kill": kill, "mutant": mutant})

    def _until_finished(
        self, estate: Estate, trial: Trial, choice: random.Random, kills: int, *, reported: bool
    ) -> None:
        clean = False
        while not clean and trial.runs < MOST_RUNS:
            half = "first"
            if estate.point() in {"in grace", "finished"}:
                half = "second"
                time.sleep(GRACE_SECONDS)
            kill = self.durations.moment(estate.kind, half, choice) if kills else None
            ended = self._drive(estate, kill)
            trial.runs, kills = trial.runs + 1, kills - bool(kill)
            if ended["killed"]:
                trial.killed.append(estate.point())
                self._take_over(estate, reported=reported)
                reported = True
            elif ended.get("status") == "pass":
                clean = estate.point() == "finished"
                if kill is None and ended["wrote"]:
                    self.durations.note(estate.kind, half, ended)
            elif not stopped_itself(ended):
                trial.failures.append(f"run {trial.runs} said {ended.get('messages', 'nothing')}")
        trial.failures += [] if clean else ["it did not end"]

    def _take_over(self, estate: Estate, *, reported: bool) -> None:
        if not (estate.folder / RUN).exists():
            return  # killed before Prefect knew of it
        if reported:
            tell_crashed(estate.folder)
        else:
            time.sleep(LEASE_LAPSES)


def looks(folder: Path) -> tuple[int, list[str]]:
    """Return how many logins the consumer of an estate made, and what it noticed."""
    rows = [json.loads(row) for row in (folder / LOOKS).read_text().splitlines()]
    return sum(not problem for _, _, problem in rows), [f"{problem} at {at:.3f}" for at, _, problem in rows if problem]


def run_all(trials: Trials, seeds: Sequence[int], at_a_time: int) -> list[Trial]:
    """Run the seeds, several at a time; those that wait for a lease begin first."""
    ordered = sorted(seeds, key=lambda seed: seed % 20 >= UNREPORTED)
    with ThreadPoolExecutor(at_a_time) as pool:
        # Threads do not inherit Prefect's settings by themselves.
        for rehearsed in [pool.submit(copy_context().run, trials.rehearse, number) for number in range(REHEARSALS)]:
            rehearsed.result()
        started = [pool.submit(copy_context().run, trials.run, seed) for seed in ordered]
        return [future.result() for future in started]


def makers_of(vault: Vault, database: postgres.Postgres, cache: redis.Redis) -> dict[str, EstateMaker]:
    """Return how each kind of estate is made."""
    return {
        "alternating": lambda root, name: PostgresEstate(vault, root, name, database),
        "dual": lambda root, name: RedisEstate(vault, root, name, cache),
    }


@contextmanager
def trials_with(
    server: PrefectServer, vault: Vault, makers: Mapping[str, EstateMaker], root: Path, processes: int
) -> Iterator[Trials]:
    """Yield what runs trials, with a consumer beside them.

    Args:
        server: Prefect's, to which this process's settings point.
        vault: the engine of all secrets.
        makers: of estates, by kind.
        root: where the estates' folders go.
        processes: that run flows at a time.
    """
    vault.prepare()
    drivers = Drivers(server, processes, "random_driver")
    try:
        with consumer("random_consumer", str(root), json.dumps(vault.consumer)):
            yield Trials(drivers, makers, root)
    finally:
        drivers.stop()


def told(trials: Sequence[Trial]) -> str:
    """Return the figures in words."""
    kills = Counter(point for trial in trials for point in trial.killed)
    return (
        f"{len(trials)} seeds, {sum(kills.values())} kills ({', '.join(f'{n} {p}' for p, n in kills.most_common())}), "
        f"{sum(t.runs for t in trials)} runs, {sum(t.logins for t in trials)} logins, "
        f"{sum(len(t.failures) for t in trials)} failures"
    )


def main() -> None:
    """Start every server, run the seeds, and tell how it went."""
    parser = argparse.ArgumentParser(description="Kill rotations at random moments.")
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=max(2, os.cpu_count() or 2))
    asked = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="vigiles-proof-"))
    os.environ["PREFECT_HOME"] = str(root / "client")
    (root / "estates").mkdir()
    with ExitStack() as servers:
        prefect = servers.enter_context(prefect_server.running(root / "server"))
        vault = Vault(servers.enter_context(openbao.running()))
        database = servers.enter_context(postgres.running())
        makers = makers_of(vault, database, servers.enter_context(redis.running()))
        from prefect.settings import PREFECT_API_URL, temporary_settings

        servers.enter_context(temporary_settings(updates={PREFECT_API_URL: prefect.url}))
        began = time.monotonic()
        seeds = range(asked.first, asked.first + asked.seeds)
        with trials_with(prefect, vault, makers, root / "estates", asked.processes) as them:
            trials = run_all(them, seeds, asked.processes * 2)
        seconds = time.monotonic() - began
    for trial in trials:
        for failure in trial.failures:
            sys.stdout.write(f"seed {trial.seed} ({trial.kind}): {failure}\n")
    sys.stdout.write(f"{told(trials)}, {seconds:.0f} s\n")
    if not any(trial.failures for trial in trials):
        shutil.rmtree(root)
    sys.exit(any(trial.failures for trial in trials))


if __name__ == "__main__":
    main()
