"""No rotation in any store or at any target lets a secret out, however the stores and targets fail.

Each run is a real one of the command; the stores are real servers, and proxies before them that repeat what they are
sent. What may hold values is the store itself: the .env file, and Prefect's Secret blocks, which it encrypts.
"""

import json
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from dotenv import dotenv_values
from support import echoing_proxy, recorded_run
from support.canary import plant, scan, scan_files, search
from support.leak_estate import Estate, build
from support.moto import moto  # noqa: F401
from support.openbao import openbao  # noqa: F401
from support.postgres import postgres, require  # noqa: F401
from support.prefect_server import CLEAN, PrefectServer, drain, running
from support.redis import redis_server  # noqa: F401

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]

DEAF = {"HTTPS_PROXY": "http://127.0.0.1:1", "NO_PROXY": "127.0.0.1"}
"""Nothing of a test leaves the machine: Azure's addresses are fixed."""

SUPPORT = {"PYTHONPATH": str(Path(recorded_run.__file__).parent.parent)}
LOUD = {"PREFECT_LOGGING_LEVEL": "DEBUG", "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true"}


@dataclass
class Runs:
    """The runs of one policy, and all that they left behind."""

    server: PrefectServer
    estate: Estate
    recorded: object
    output: dict[str, str | bytes] = field(default_factory=dict)

    @property
    def folder(self):
        return self.estate.folder

    @property
    def environment(self):
        (self.folder / "tmp").mkdir(exist_ok=True)
        return self.server.environment | SUPPORT | DEAF | LOUD | {"TMPDIR": str(self.folder / "tmp"), "COLUMNS": "400"}

    def run(self, name, mode, *options):
        report = self.folder / f"{name}.report.json"
        command = [sys.executable, "-m", "support.recorded_run", str(self.recorded), "--debug", "run", "rotate-secrets"]
        order = ["--policy", "rotation-policy/leaks", "--mode", mode, "--json", str(report), *options]
        written, processes = recorded_run.run([*command, *order], self.environment, self.folder)
        assert report.exists(), written[-3000:]
        self.output |= {name: written, f"processes of {name}": processes, report.name: report.read_text()}
        return json.loads(report.read_text())

    @property
    def values(self):
        return self.estate.values | recorded_run.values(self.recorded)

    def leaks(self, values):
        own = [path for path in self.folder.iterdir() if path.name.startswith(".env")]
        kept = self.recorded / recorded_run.REMOVED
        return scan(values, server=self.server, output=self.output, folders=[self.folder, kept], allowed=own)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, migrated_database, openbao, moto, postgres, redis_server):  # noqa: F811 - fixtures
    require()
    from prefect.settings import PREFECT_API_URL, temporary_settings

    folder = tmp_path_factory.mktemp("leaks-in-stores")
    # A server of its own: the whole database is searched for each of many values, in many forms.
    with ExitStack() as stack:
        server = stack.enter_context(running(folder / "prefect", migrated_database))
        stack.enter_context(temporary_settings(updates={PREFECT_API_URL: server.url}))
        for name in ("estate", "recorded"):
            (folder / name).mkdir(mode=0o700)
        estate = Estate(folder / "estate")
        build(estate, stack, bao=openbao, moto=moto, postgres=postgres, redis=redis_server)
        yield Runs(server, estate, folder / "recorded")


@pytest.fixture(scope="module")
def reports(runs):
    """Every order that there is, and each failure under it."""
    working, held = ([o for n in names for o in ("--secret", n)] for names in (runs.estate.working, runs.estate.held))
    made = {
        "audit": runs.run("audit", "audit"),
        "enforce": runs.run("enforce", "enforce"),
        "roll-back": runs.run("roll-back", "enforce", "--action", "roll-back", *held),
        "retire": runs.run("retire", "enforce", *working),
        "emergency": runs.run("emergency", "enforce", "--action", "emergency", "--accept-outage", *working),
    }
    drain()
    return made


def statuses(report, prefix):
    rows = {row["subject"]["name"]: row["status"] for row in report["findings"] if row["rule"] != "single-slot-window"}
    return {name: status for name, status in rows.items() if name.startswith(prefix)}


def test_the_good_ones_rotate_and_are_rolled_back_and_the_bad_ones_fail(runs, reports):
    good, held = (statuses(reports["enforce"], prefix) for prefix in ("good-", "held-"))
    bad = {
        name: status
        for name, status in statuses(reports["enforce"], "bad-").items()
        if not name.endswith(("-lose", "-throttle"))
    }

    assert set(good.values()) | set(held.values()) == {"pass"}
    assert set(bad.values()) == {"error"}
    assert len(good) + len(held) + len(bad) >= 40
    assert reports["roll-back"]["status"] == "pass"
    # moto accepts a key that is inactive, so that one is never retired.
    retired = statuses(reports["emergency"], "good-")
    assert {name for name, status in retired.items() if status != "pass"} == {"good-iam"}


def test_every_value_that_consumers_read_in_the_end_is_searched_for(runs, reports):
    from prefect.blocks.system import Secret

    current = set(dotenv_values(runs.folder / ".env", interpolate=False).values())
    current |= {Secret.load("leaks-good-prefect").value.get_secret_value()}

    assert current <= runs.values
    assert len(runs.values) >= 150


def test_no_store_and_no_target_lets_a_secret_out(runs, reports):
    assert runs.leaks(runs.values) == []


def test_the_scan_would_have_seen_them_wherever_a_run_writes(runs, reports):
    """The positive control: a text in the secrets' names, which is no value, is found in all of these places."""
    places = {leak.place for leak in runs.leaks([runs.estate.marker])}

    assert places >= {
        *("output:audit", "output:enforce", "output:audit.report.json", "output:enforce.report.json"),
        *("api:artifacts", "api:flow runs", "database:artifact.data", "database:flow_run.parameters"),
    }


def test_the_scan_would_have_seen_them_in_files(runs, reports):
    current = dotenv_values(runs.folder / ".env", interpolate=False)["GOOD_REDIS"]

    assert f"file:{runs.folder / '.env'}" in {leak.place for leak in scan_files(runs.folder, [current])}


def test_values_in_arguments_environment_output_and_removed_files_of_a_process_are_seen(tmp_path):
    argument, variable, written, removed = (plant(name).replace("\n", "") for name in "avwr")
    script = (
        "import os, pathlib, sys, time; from support.recorded_run import keep_removed\n"
        "keep_removed(pathlib.Path('.')); file = pathlib.Path('x')\n"
        f"print({written!r}); file.write_text({removed!r}); file.unlink(); time.sleep(1)\n"
    )
    program = tmp_path / "program.py"
    program.write_text(script)
    environment = CLEAN | SUPPORT | {"VALUE": variable}
    output, processes = recorded_run.run([sys.executable, str(program), argument], environment, tmp_path)

    assert {leak.place for leak in search(processes, "seen", [argument])}
    assert {leak.place for leak in search(processes, "seen", [variable])}
    assert search(output.encode(), "seen", [written])
    assert scan_files(tmp_path / recorded_run.REMOVED, [removed])


def test_the_proxies_do_repeat_what_they_are_sent():
    """Otherwise the errors of the stores' clients would have nothing to leak."""
    value = plant()
    with echoing_proxy.before("http://127.0.0.1:1", "refuse") as url:
        answer = httpx.put(url, json={"pending": [None, value]})

    assert answer.status_code == 400
    assert search(answer.content, "answer", [value])
