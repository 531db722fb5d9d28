"""Processes that run the real flow in forks of their own, so that each can be killed: importing Prefect costs more than
a rotation, and is done once.

``Drivers`` is the side of the tests; ``serve`` and ``in_child`` that of the driver. A job and its answer are a line of
JSON each.
"""

import json
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from queue import Queue
from typing import Any

from prefect.plugins import load_prefect_collections

from blocks.policies.rotation import RotationPolicy
from flows.rotate_secrets import rotate_secrets

ROOT = Path(__file__).resolve().parents[2]
RESULT = "result.json"
RUN = "run.txt"

LATER = (
    "anyio._backends._asyncio",
    "fastapi.applications",
    "hvac",
    "prefect.concurrency.services",
    "prefect.task_engine",
    "psycopg",
    "redis",
)
"""What a run imports when it comes to it; imported once here, as each fork would else do it again."""


def _environment(**more: str) -> dict[str, str]:
    """Return the environment of a helper process; coverage is not measured there, as it doubles the time."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    return {**kept, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", **more}


class Drivers:
    """Processes that run jobs, as many at a time as there are processes.

    Args:
        server: Prefect's, to which the flows talk.
        count: of the processes.
        module: whose ``main`` they run.
    """

    def __init__(self, server: Any, count: int, module: str) -> None:
        environment = _environment(**server.environment, PREFECT_LOGGING_LEVEL="INFO")
        command = [sys.executable, "-c", f"from support.{module} import main; main()"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._processes = [subprocess.Popen(command, env=environment, cwd="/", **pipes) for _ in range(count)]
        self._idle: Queue[subprocess.Popen[str]] = Queue()
        for process in self._processes:
            self._idle.put(process)

    def run(self, job: dict[str, Any]) -> dict[str, Any]:
        """Have a job done, and return the answer."""
        process = self._idle.get()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())
        finally:
            self._idle.put(process)

    def stop(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.kill()
            process.wait()


@contextmanager
def consumer(module: str, *arguments: str) -> Iterator[None]:
    """A process that uses secrets while in the context; it must not end before that."""
    command = [sys.executable, "-c", f"from support.{module} import main; main()", *arguments]
    process = subprocess.Popen(command, env=_environment(), cwd="/")
    try:
        yield
        assert process.poll() is None, "the consumer died"
    finally:
        process.kill()
        process.wait()


def serve(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer the jobs that come in."""
    for name in LATER:
        import_module(name)
    # Prefect imports every collection that is installed when the first block is loaded.
    load_prefect_collections()
    # A fork copies one thread only: what Prefect would start must not run yet.
    assert threading.active_count() == 1, threading.enumerate()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


def in_child(folder: Path, run: Callable[[], None]) -> int:
    """Do it in a fork, whose output goes to the folder; return the fork's process id."""
    for name in (RESULT, RUN):
        (folder / name).unlink(missing_ok=True)
    child = os.fork()
    if child:
        return child
    output = os.open(folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    try:
        run()
    except BaseException:  # noqa: BLE001 - a forked process must not return into its parent's loop
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(0)


def rotate(job: dict[str, Any], **options: Any) -> None:
    """Run the flow, and write down what its report says."""
    state = rotate_secrets.with_options(**options)(RotationPolicy(**job["policy"]), "enforce", return_state=True)
    result = state.result(raise_on_failure=False)
    report = getattr(result, "report", result)
    document = {"status": report.status.value, "messages": [f"{f.rule}: {f.message}" for f in report.findings]}
    document["changes"] = [asdict(c)["action"] for c in report.changes]
    (Path(job["folder"]) / RESULT).write_text(json.dumps(document))


def reported(folder: Path) -> dict[str, Any]:
    """Return what ``rotate`` wrote down there; nothing if it did not come to that."""
    result = folder / RESULT
    return json.loads(result.read_text()) if result.exists() else {}


def stopped_itself(ended: dict[str, Any]) -> bool:
    """Tell whether a run stopped because Prefect was too busy to renew its lease, as a run has to; the next goes on."""
    messages = ended.get("messages", [])
    return ended.get("status") == "error" and len(messages) == 1 and "could not be renewed in time" in messages[0]
