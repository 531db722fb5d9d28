"""No flow lets a secret out: each is run by the real command where secrets are planted, well and badly."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values
from support.canary import plant, scan, scan_api, search
from support.postgres import require
from support.prefect_server import running


class Runs:
    """Runs of the command, with all that they wrote and all secrets that existed meanwhile."""

    def __init__(self, server, folder):
        self.server = server
        self.folder = folder
        self.env = folder / ".env"
        self.secrets = set()
        self.output = {}

    def learn(self):
        """Remember every secret that exists right now: in the file, and as pending or previous beside it."""
        self.secrets |= {v for k, v in dotenv_values(self.env, interpolate=False).items() if k.startswith("SECRET")}
        sidecar = self.env.with_name(".env.vigiles")
        if sidecar.exists():
            for record in json.loads(sidecar.read_text())["secrets"].values():
                self.secrets |= {pair[1] for pair in (record["pending"], record["previous"]) if pair}

    def run(self, flow, policy, mode):
        path = self.folder / f"{len(self.output)}.yaml"
        path.write_text(json.dumps(policy))
        report = path.with_suffix(".json")
        command = [str(Path(sys.executable).parent / "vigiles"), "run", flow, "--policy", str(path), "--mode", mode]
        done = subprocess.run(
            [*command, "--json", str(report)],
            env=self.server.environment | {"PREFECT_LOGGING_LEVEL": "DEBUG"},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        self.output[f"{flow} {path.name}"] = done.stdout + done.stderr
        assert report.exists(), done.stdout + done.stderr
        self.output[report.name] = report.read_text()
        self.learn()
        return json.loads(report.read_text())


def rotation(*secrets, name="leaks"):
    return {"kind": "RotationPolicy", "version": 1, "name": name, "secrets": list(secrets)}


GENERATED = {"name": "token", "store": "env-file-store/leaks", "key": "SECRET_TOKEN", "every": "30d", "grace": "1s"}
PAIR = {
    "name": "pair",
    "store": "env-file-store/leaks",
    "keys": {"username": "PAIR_USER", "password": "SECRET_PAIR"},
    "target": "postgres-role/leaks",
    "every": "30d",
    "grace": "1s",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, migrated_database):
    require()
    from prefect.blocks.system import Secret
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from blocks.rotation_targets.postgres_role import PostgresRole
    from blocks.secret_stores.env_file import EnvFileStore
    from flows.demo import postgres

    admin, first = plant("admin"), plant("first").replace("\n", "").replace("\\", "").replace("$", "").replace("'", "")
    folder = tmp_path_factory.mktemp("leaks")
    with (
        running(folder / "prefect", migrated_database) as server,
        postgres.running() as database,
        temporary_settings(updates={PREFECT_API_URL: server.url}),
    ):
        made = Runs(server, folder / "estate")
        made.folder.mkdir(mode=0o700)
        database.execute("CREATE ROLE one LOGIN", "CREATE ROLE two LOGIN")
        database.set_password("one", first)
        database.set_password("admin", admin)
        made.env.write_text(f"SECRET_TOKEN='{first}-token'\nPAIR_USER=one\nSECRET_PAIR='{first}'\n")
        made.env.chmod(0o600)
        made.secrets |= {admin}
        EnvFileStore(path=made.env).save("leaks")
        Secret(value=admin).save("leaks-admin")
        where = {"host": database.host, "port": database.port, "roles": ["one", "two"], "admin_user": "admin"}
        PostgresRole(admin_secret="secret/leaks-admin", **where).save("leaks")
        made.learn()
        made.save_target = lambda **changes: PostgresRole(
            **({"admin_secret": "secret/leaks-admin"} | where | changes)
        ).save("leaks", overwrite=True)
        yield made


@pytest.fixture(scope="module")
def rotated(runs):
    """Every way that a rotation can go: planned, refused, unreachable, done, retired, quarantined."""
    from prefect.blocks.system import Secret

    wrong = plant("wrong")
    runs.secrets.add(wrong)
    reports = {"audit": runs.run("rotate-secrets", rotation(GENERATED, PAIR), "audit")}
    Secret(value=wrong).save("leaks-wrong")
    runs.save_target(admin_secret="secret/leaks-wrong")
    reports["refused"] = runs.run("rotate-secrets", rotation(PAIR), "enforce")
    runs.save_target(port=1)
    reports["unreachable"] = runs.run("rotate-secrets", rotation(PAIR), "enforce")
    runs.save_target()
    reports["done"] = runs.run("rotate-secrets", rotation(GENERATED, PAIR), "enforce")
    reports["retired"] = runs.run("rotate-secrets", rotation(GENERATED, PAIR), "enforce")
    runs.env.write_text(runs.env.read_text().replace("SECRET_PAIR=", "SECRET_PAIR=x"))
    runs.learn()
    runs.env.with_name(".env.vigiles").unlink()
    reports["quarantined"] = runs.run("rotate-secrets", rotation(PAIR), "enforce")
    return reports


def test_the_rotations_went_the_ways_that_they_were_meant_to(rotated):
    statuses = {name: report["status"] for name, report in rotated.items()}

    assert statuses == {
        "audit": "fail",
        "refused": "error",
        "unreachable": "error",
        "done": "pass",
        "retired": "pass",
        "quarantined": statuses["quarantined"],
    }
    assert statuses["quarantined"] != "pass"


def test_no_rotation_lets_a_secret_out(runs, rotated):
    sidecars = [runs.env, runs.env.with_name(".env.vigiles"), runs.env.with_name(".env.lock")]

    assert len(runs.secrets) >= 7
    assert scan(runs.secrets, server=runs.server, output=runs.output, folders=[runs.folder], allowed=sidecars) == []


def test_the_scan_would_have_seen_them(runs, rotated):
    """The positive control: the same scan, with the store itself not allowed to hold its secrets."""
    current = dotenv_values(runs.env, interpolate=False)["SECRET_TOKEN"]

    assert {leak.place for leak in scan([current], server=runs.server, folders=[runs.folder])} >= {f"file:{runs.env}"}


SEEN = ("logs", "flow runs", "task runs", "artifacts", "events")


def test_placement_does_not_repeat_what_deployments_and_runs_carry(runs):
    """A job variable or a parameter may hold a secret that somebody templated into it."""
    from blocks.estate.paging import request

    secret = plant("job")
    with prefect_client(runs.server) as client:
        request(client, "POST", "/work_pools/", {"name": "leaky", "type": "process", "base_job_template": {}})
        flow = request(client, "POST", "/flows/", {"name": "leaky"})["id"]
        body = {"name": "x", "flow_id": flow, "work_pool_name": "leaky", "tags": ["security:high"]}
        request(client, "POST", "/deployments/", body | {"job_variables": {"env": {"T": secret}}})
    policy = {
        "kind": "PlacementPolicy",
        "version": 1,
        "name": "leaks",
        "vocabulary": {"security": ["high", "standard"]},
        "pools": [{"name": "leaky", "labels": {"security": "standard"}}],
        "constraints": [{"name": "c", "deployments": {"tags": ["security:high"]}, "require": "security=high"}],
    }

    report = runs.run("verify-placement", policy, "enforce")

    assert report["summary"]["fail"] >= 1
    assert scan_api(runs.server.url, [secret], lists=SEEN) == []
    assert [leak for name, text in runs.output.items() for leak in search(text.encode(), name, [secret])] == []


def test_retention_does_not_repeat_what_results_and_artifacts_hold(runs):
    from prefect.filesystems import LocalFileSystem

    secret = plant("result")
    results = runs.folder / "results"
    results.mkdir()
    LocalFileSystem(basepath=str(results)).save("leaks")
    head = {"storage_key": "x", "expiration": None, "serializer": {"type": "json"}, "prefect_version": "3.8.8"}
    (results / "x").write_text(json.dumps({"metadata": head, "result": secret}))
    policy = {
        "kind": "RetentionPolicy",
        "version": 1,
        "name": "leaks",
        "stores": [{"block": "local-file-system/leaks"}],
        "rules": [{"name": "all", "match": {"all": True}, "results": "1s"}],
    }

    runs.run("enforce-retention", policy, "enforce")

    assert scan_api(runs.server.url, [secret], lists=SEEN) == []
    assert [leak for name, text in runs.output.items() for leak in search(text.encode(), name, [secret])] == []


def prefect_client(server):
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings(updates={PREFECT_API_URL: server.url}):
        return get_client(sync_client=True)
