"""The demo, from an empty folder to eight reports. Nothing it prints is canned: every number was observed."""

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from flows.demo import postgres, prefect_server
from flows.demo.prefect_server import PrefectServer, start_worker
from rules.errors import BadInputError, VigilesError
from rules.findings import Status, worst_first
from rules.reports import Report

POLICIES = Path(__file__).parents[2] / "policies"
"""The example policies, which lie beside the packages in a checkout."""

SHOWN = 4
"""How many findings and changes of each report are printed."""

Say = Callable[[str], None]


def show(say: Say, *, keep: bool) -> Path:
    """Build the estate, run the four flows in audit and then in enforce mode, and return the folder of it all.

    Args:
        say: prints one line.
        keep: whether the server (and PostgreSQL) stay up afterwards.

    Raises:
        BadInputError: if the example policies are not there.
        VigilesError: if the server does not start.
    """
    if not POLICIES.is_dir():
        raise BadInputError("The example policies are not here.", "Run the demo from a checkout of Vigiles.")
    folder = Path(tempfile.mkdtemp(prefix="vigiles-demo-"))
    began = time.monotonic()

    def step(text: str) -> None:
        say(f"[{time.monotonic() - began:5.1f} s] {text}")

    step(f"Starting a Prefect server of its own in {folder} (about 20 s: it creates its database)")
    with contextlib.ExitStack() as stack:
        server = prefect_server.start(folder / "prefect")
        stack.callback(prefect_server.stop, server.pid)
        _use(server)
        database = _postgres(step, stack)
        worker = _build(server, folder, database, step, stack)
        _summarise(list(_run_all(folder, step, say)), say)
        step(f"Done. JSON reports: {folder / 'reports'}")
        if keep:
            stack.pop_all()
            say(f"\nThe server stays up. UI: {server.url.removesuffix('/api')}  (reports: {_artifacts(server)})")
            processes = f"-{server.pid} -{worker} {database.pid if database else ''}".rstrip()
            say(f"Stop everything with: kill -INT -- {processes}")
    return folder


def _use(server: PrefectServer) -> None:
    # Before Prefect is imported: its settings are read then.
    os.environ.update({k: v for k, v in server.environment.items() if k.startswith("PREFECT_")})
    os.environ["PREFECT_LOGGING_LEVEL"] = "CRITICAL"


def _postgres(step: Say, stack: contextlib.ExitStack) -> postgres.Postgres | None:
    try:
        database = postgres.start()
    except VigilesError as error:
        step(f"No PostgreSQL: {error} The warehouse secret will be reported as unchecked.")
        return None
    stack.callback(postgres.stop, database)
    step(f"Started PostgreSQL on port {database.port}, with a pair of roles that take turns")
    return database


def _build(
    server: PrefectServer, folder: Path, database: postgres.Postgres | None, step: Say, stack: contextlib.ExitStack
) -> int:
    from prefect.client.orchestration import get_client

    from flows.demo import estate
    from flows.demo.secrets import create_secrets

    with get_client(sync_client=True) as client:
        estate.create_pools(client)
        worker = start_worker(server, "high-security")
        stack.callback(prefect_server.stop, worker)
        step("Made the work pools high-security (with a worker) and standard (without)")
        step(f"Made deployments: {', '.join(estate.create_deployments(client))}")
        for line in estate.run_flows(server, folder / "results"):
            step(f"Ran {line}")
        estate.create_directory(server)
    step(f"Wrote the secrets file {create_secrets(folder, database)}")
    for line in _publish():
        step(line)
    return worker


def _publish() -> Iterator[str]:
    from blocks.policies.loader import load_policies
    from flows.publish import publish_policies

    yield from (f"Published: {published}" for published in publish_policies(load_policies([POLICIES])))


def _run_all(folder: Path, step: Say, say: Say) -> Iterator[Report]:
    from flows.cli.quiet import quieten
    from flows.cli.run import FlowName, run_flow

    quieten()

    (folder / "reports").mkdir()
    for mode in ("audit", "enforce"):
        for flow in FlowName:
            report, _ = run_flow(flow, "production", mode)
            path = folder / "reports" / f"{flow}-{mode}.json"
            path.write_text(json.dumps(report.to_json(), indent=1))
            step(f"{flow}, mode {mode}: {report.verdict}")
            _print(report, say)
            yield report


def _print(report: Report, say: Say) -> None:
    bad = [f for f in worst_first(report.findings) if f.status is not Status.PASS]
    for finding in bad[:SHOWN]:
        say(f"            {finding.status:<8}{finding.rule}: {finding.subject.name}. {finding.message}")
    if len(bad) > SHOWN:
        say(f"            and {len(bad) - SHOWN} more findings")
    for change in report.changes[:SHOWN]:
        say(f"            {change.outcome:<8}{change.action} {change.subject.name}: {change.reason}")
    if len(report.changes) > SHOWN:
        say(f"            and {len(report.changes) - SHOWN} more changes")


def _summarise(reports: list[Report], say: Say) -> None:
    say(f"\n{'flow':<20}{'mode':<9}{'passed':>7}{'failed':>7}{'skipped':>8}{'unchecked':>10}{'changes':>8}")
    for report in reports:
        n = report.summary
        row = f"{n['pass']:>7}{n['fail']:>7}{n['skipped']:>8}{n['error']:>10}{len(report.changes):>8}"
        say(f"{report.flow:<20}{report.mode:<9}{row}")
    say("")


def _artifacts(server: PrefectServer) -> str:
    return f"{server.url.removesuffix('/api')}/v2/artifacts"
