"""The ``vigiles`` command as its users meet it: exit codes, words, files, and no traceback."""

import json
import os
import pty
import resource
import signal
import socket
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from support.prefect_server import CLEAN, free_port
from typer.testing import CliRunner

from flows.cli import run as run_module
from flows.cli.main import app
from flows.cli.server import without_credentials
from flows.cli.verdict import show_report
from rules.errors import BadInputError, PermanentError, TemporaryError
from rules.findings import Change, Finding, Outcome, Severity, Status, Subject
from rules.reports import Report, report_from_json

COMMAND = str(Path(sys.executable).with_name("vigiles"))
INTERRUPTED = "Interrupted. What was done until then stays done; look at the run in the Prefect UI."
SECRET = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"


class Placement:
    """A placement policy in order, about a pool that no server has."""

    def __init__(self, folder):
        self.name = f"placement-{uuid.uuid4().hex[:12]}"
        self.path = folder / "placement.yaml"
        self.slug = f"placement-policy/{self.name}"
        self.path.write_text(
            f"kind: PlacementPolicy\nversion: 1\nname: {self.name}\npools: [{{name: pool-{self.name}}}]\n"
        )


@pytest.fixture
def placement(tmp_path):
    return Placement(tmp_path)


@pytest.fixture
def offline(tmp_path):
    """The environment of a user who has chosen no server."""
    return {**CLEAN, "PREFECT_HOME": str(tmp_path / "home")}


def vigiles(*arguments, environment, cwd=None):
    """Run the installed command in a process of its own."""
    command = [COMMAND, *map(str, arguments)]
    done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stdout + done.stderr
    return done


def invoke(*arguments):
    """Run the command in this process."""
    return CliRunner().invoke(app, list(map(str, arguments)), prog_name="vigiles")


def report(*findings, changes=(), mode="audit"):
    now = datetime(2026, 11, 1, tzinfo=UTC)
    return Report("verify-placement", "production", "d" * 64, mode, now, now, tuple(findings), tuple(changes))


def finding(status=Status.FAIL, name="nightly/etl"):
    return Finding("pool-mismatch", Severity.HIGH, status, Subject("deployment", name, name), "It may not.", "Move it.")


# check


def test_check_says_that_all_is_in_order(placement, offline):
    done = vigiles("check", placement.path, environment=offline)

    assert done.returncode == 0
    assert done.stdout == f"{placement.path}: PlacementPolicy {placement.name} is in order\n"


def test_check_tells_every_problem_and_ends_with_2(tmp_path, offline):
    (tmp_path / "a.yaml").write_text("")
    (tmp_path / "b.yaml").write_text(f"kind: PlacementPolicy\nversion: 1\nname: {SECRET}\nnaem: x\n")

    done = vigiles("check", ".", environment=offline, cwd=tmp_path)

    assert done.returncode == 2
    assert [line.split(" ")[:2] for line in done.stdout.splitlines()] == [
        ["a.yaml:1:1:", "P010"], ["b.yaml:3:7:", "P080"], ["b.yaml:4:1:", "P042"]
    ]  # fmt: skip
    assert done.stderr == "3 problems in 2 files.\n"
    assert SECRET not in done.stdout


def test_check_counts_what_it_found(tmp_path):
    (tmp_path / "a.yaml").write_text("")

    done = invoke("check", tmp_path)

    assert (done.exit_code, done.stderr) == (2, "1 problem in 1 file.\n")


def test_check_accepts_a_file_with_a_warning(placement):
    placement.path.write_bytes(b"\xef\xbb\xbf" + placement.path.read_bytes())

    done = invoke("check", placement.path)

    assert (done.exit_code, "W014" in done.stdout) == (0, True)


# usage


@pytest.mark.parametrize(
    "arguments",
    [
        ["chekc"],
        ["check"],
        ["run"],
        ["run", "verify-placement"],
        ["run", "rotate", "--policy", "x"],
        ["run", "verify-placement", "--policy", "x", "--mode", "force"],
        ["publish", "--force", "x"],
    ],
)
def test_wrong_usage_ends_with_2(arguments):
    assert invoke(*arguments).exit_code == 2


@pytest.mark.parametrize("command", ["check", "publish", "run"])
def test_the_help_of_each_command_has_examples_and_exit_codes(command):
    text = invoke(command, "--help").stdout

    assert f"  vigiles {command} " in text.partition("Examples:")[2]
    assert "Ends with:" in text


def test_help_and_version_do_not_wait_for_prefect():
    script = "import sys, flows.cli.main as m; import contextlib\nwith contextlib.suppress(SystemExit): m.main()\n"
    script += "sys.exit('prefect' in sys.modules)"
    for argument in ("--help", "--version"):
        subprocess.run([sys.executable, "-c", script, argument], check=True, capture_output=True)


def test_the_version_is_that_of_the_package(offline):
    assert vigiles("--version", environment=offline).stdout == "vigiles 0.1.0\n"


# which server


@pytest.mark.parametrize("arguments", [["publish", "policies"], ["run", "verify-placement", "--policy", "production"]])
def test_a_server_that_nobody_asked_for_is_refused(arguments, offline, tmp_path):
    done = vigiles(*arguments, environment=offline, cwd=tmp_path)

    assert done.returncode == 2
    assert done.stderr.startswith("No Prefect server is chosen: PREFECT_API_URL is not set. Set it,")
    assert not (tmp_path / "home" / "prefect.db").exists()


@pytest.mark.parametrize("command", ["publish", "run"])
def test_no_server_is_no_server(command, placement):
    arguments = ["verify-placement", "--policy"] if command == "run" else []

    done = invoke(command, *arguments, placement.path)

    assert (done.exit_code, done.stdout) == (2, "")


def test_a_server_that_does_not_answer_ends_with_3(placement, offline):
    url = f"http://127.0.0.1:{free_port()}/api"

    done = vigiles(
        "run", "verify-placement", "--policy", placement.path, environment={**offline, "PREFECT_API_URL": url}
    )

    assert done.returncode == 3
    assert done.stdout == f"Prefect API: {url}\n"
    assert done.stderr.startswith("Try again later: Prefect's API did not answer")


def test_an_address_that_is_none_is_refused(offline):
    done = vigiles("publish", "policies", environment={**offline, "PREFECT_API_URL": "localhost:4200"})

    assert (done.returncode, "must begin with http" in done.stderr) == (2, True)


@pytest.mark.parametrize("command", ["check", "publish"])
def test_settings_that_prefect_cannot_read_are_named(command, placement, offline):
    done = vigiles(command, placement.path, environment={**offline, "PREFECT_LOGGING_LEVEL": "nonsense"})

    assert done.returncode == 2
    assert "Prefect's settings cannot be read (level" in done.stderr


def test_an_interrupt_ends_in_one_line(placement, offline):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = {**offline, "PREFECT_API_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/api"}
        command = [COMMAND, "run", "verify-placement", "--policy", str(placement.path)]
        process = subprocess.Popen(command, env=environment, stdout=-1, stderr=-1, text=True)
        assert process.stdout.readline().startswith("Prefect API:")
        silent.accept()
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)

    assert (process.returncode, told.splitlines()) == (3, [INTERRUPTED])


def test_a_password_in_the_address_is_not_printed():
    assert without_credentials("https://me:pass@host:4200/api?key=x") == "https://host:4200/api"


# publish


def test_publish_says_what_it_did(placement, prefect_api):
    first, second = (vigiles("publish", placement.path, environment=prefect_api.environment) for _ in range(2))

    assert (first.returncode, second.returncode) == (0, 0)
    assert first.stdout == f"Prefect API: {prefect_api.url}\ncreated {placement.slug}\n"
    assert second.stdout == f"Prefect API: {prefect_api.url}\nunchanged {placement.slug}\n"


def test_publish_refuses_a_bad_policy(placement, prefect_api):
    placement.path.write_text(placement.path.read_text() + "polls: []\n")

    done = invoke("publish", placement.path)

    assert done.exit_code == 2
    assert f"{placement.path}:5:1: P042 unknown key `polls`. Did you mean `pools`?" in done.stderr


# run


def test_a_run_with_a_file_shows_its_verdict_and_writes_its_report(placement, prefect_api, tmp_path):
    target = tmp_path / "report.json"

    done = vigiles(
        "run", "verify-placement", "--policy", placement.path, "--json", target, environment=prefect_api.environment
    )

    written = report_from_json(json.loads(target.read_text()))
    assert done.returncode == written.exit_code != 0
    assert written.verdict in done.stdout.splitlines()
    assert f"pool-{placement.name}" in done.stdout
    assert f"Run: {prefect_api.url.removesuffix('/api')}/runs/flow-run/" in done.stdout
    assert done.stderr == ""
    assert list(tmp_path.glob(".report*")) == []


def test_a_run_takes_a_published_policy_by_name_and_by_slug(placement, prefect_api):
    invoke("publish", placement.path)

    by_name = invoke("run", "verify-placement", "--policy", placement.name)
    by_slug = invoke("run", "verify-placement", "--policy", placement.slug)

    assert by_name.exit_code == by_slug.exit_code == 1
    assert f"Policy: {placement.name}, digest " in by_name.stdout


def test_a_run_writes_what_it_shows(placement, prefect_api, tmp_path):
    target = tmp_path / "report.json"

    done = invoke("--debug", "run", "verify-placement", "--policy", placement.path, "--json", target)

    written = json.loads(target.read_text())
    assert (done.exit_code, written["status"], written["policy"]["name"]) == (1, "fail", placement.name)
    assert target.stat().st_mode & 0o777 == 0o600


def test_a_block_cannot_be_read_from_a_server_that_does_not_answer(prefect_api):
    nowhere = f"http://127.0.0.1:{free_port()}/api"
    with temporary_settings(updates={PREFECT_API_URL: nowhere}):
        done = invoke("run", "verify-placement", "--policy", "production")

    assert (done.exit_code, done.stderr.startswith("Try again later: ")) == (3, True)


@pytest.mark.parametrize(("content", "words"), [("", "P010"), (None, "which verify-placement does not take")])
def test_a_file_that_is_no_policy_of_the_flow_is_refused(content, words, placement, prefect_api, tmp_path):
    path = tmp_path / "other.yaml"
    path.write_text("kind: AccessPolicy\nversion: 1\nname: a\ndirectory: a/b\n" if content is None else content)

    done = invoke("run", "verify-placement", "--policy", path)

    assert (done.exit_code, words in done.stderr) == (2, True)


def test_debug_shows_what_prefect_says(placement, prefect_api):
    command = [COMMAND, "--debug", "run", "verify-placement", "--policy", str(placement.path)]

    done = subprocess.run(command, env=prefect_api.environment, capture_output=True, text=True, check=False)

    assert "Finished in state Failed" in done.stderr


def test_a_policy_that_is_not_published_is_refused(prefect_api):
    done = invoke("run", "verify-placement", "--policy", "never-published")

    assert done.exit_code == 2
    assert "There is no block placement-policy/never-published on this server." in done.stderr


@pytest.mark.parametrize("choice", ["{path}", "placement-policy/production"])
def test_a_policy_of_another_flow_is_refused(choice, placement, prefect_api):
    done = invoke("run", "report-rbac-drift", "--policy", choice.format(path=placement.path))

    assert done.exit_code == 2
    assert "report-rbac-drift" in done.stderr


def test_a_bad_policy_file_is_refused_before_the_server_is_asked(tmp_path, offline):
    environment = {**offline, "PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api"}

    done = vigiles("run", "verify-placement", "--policy", "none.yaml", environment=environment, cwd=tmp_path)

    assert done.returncode == 2
    assert "none.yaml:1:1: P001 cannot read the policy: no such file. Check the path." in done.stderr


@pytest.mark.parametrize("choice", ["", ".", "x" * 300 + ".yaml", "x" * 300])
def test_what_cannot_name_a_policy_is_refused(choice, placement, prefect_api):
    """An unset shell variable must not run whatever policy lies in the current folder."""
    command = [COMMAND, "run", "verify-placement", "--policy", choice]

    done = subprocess.run(
        command, env=prefect_api.environment, cwd=placement.path.parent, capture_output=True, text=True, check=False
    )

    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr


def test_a_report_is_not_written_over_what_is_no_file(placement, prefect_api, tmp_path):
    os.mkfifo(tmp_path / "pipe")

    done = invoke("run", "verify-placement", "--policy", placement.path, "--json", tmp_path / "pipe")

    assert (done.exit_code, "is no regular file" in done.stderr) == (2, True)
    assert (tmp_path / "pipe").is_fifo()


def test_a_report_is_written_through_a_link(tmp_path):
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")

    place = run_module.require_writable(tmp_path / "link.json")

    assert place == tmp_path / "real.json"


def test_a_report_is_written_although_nobody_reads_the_output(placement, prefect_api, tmp_path):
    command = f"{COMMAND} run verify-placement --policy {placement.path} --json {tmp_path}/r.json | true"

    subprocess.run(command, shell=True, env=prefect_api.environment, capture_output=True, check=False)

    assert json.loads((tmp_path / "r.json").read_text())["flow"] == "verify-placement"


def test_the_env_file_of_the_working_folder_is_not_shown_when_a_setting_is_wrong(placement, offline, tmp_path):
    """Prefect reads ``.env`` itself and would print all of it."""
    (tmp_path / ".env").write_text(f"API_TOKEN={SECRET}\nDB_PASSWORD={SECRET}\n")
    environment = offline | {"PREFECT_API_URL": "http://[::1"}

    done = vigiles("publish", placement.path, environment=environment, cwd=tmp_path)

    assert done.returncode == 2
    assert SECRET not in done.stdout + done.stderr
    assert "input_value" not in done.stderr


def test_a_name_that_the_terminal_cannot_show_ends_nothing(tmp_path, offline):
    (tmp_path / "\u65e5.yaml").write_text("")

    done = vigiles("check", ".", environment=offline | {"PYTHONIOENCODING": "latin-1"}, cwd=tmp_path)

    assert done.returncode == 2
    assert "?.yaml:1:1: P010" in done.stdout


def test_a_block_that_was_broken_by_hand_could_not_be_checked(placement, prefect_api):
    from prefect.client.orchestration import get_client

    from blocks.estate.paging import request
    from blocks.policies.placement import PlacementPolicy

    invoke("publish", placement.path)
    with get_client(sync_client=True) as client:
        identifier = PlacementPolicy.load(placement.name)._block_document_id
        request(client, "PATCH", f"/block_documents/{identifier}", {"data": {"pools": "none"}})

    done = invoke("run", "verify-placement", "--policy", placement.name)

    assert (done.exit_code, "publish it again" in done.stderr) == (3, True)


# the report


@pytest.mark.parametrize(("name", "words"), [("none/report.json", "does not exist"), ("folder", "is a folder")])
def test_a_report_that_cannot_be_written_is_refused_before_the_run(name, words, placement, tmp_path, prefect_api):
    (tmp_path / "folder").mkdir()

    done = invoke("run", "verify-placement", "--policy", placement.path, "--json", tmp_path / name)

    assert (done.exit_code, words in done.stderr, "Running" in done.stdout) == (2, True, False)


def test_a_report_replaces_the_one_before_it_whole(tmp_path):
    target = tmp_path / "report.json"
    target.write_text("old" * 10_000)

    run_module.write_report(target, report(finding()))

    assert report_from_json(json.loads(target.read_text())) == report(finding())


def test_a_report_that_does_not_fit_is_told_and_leaves_the_old_one(tmp_path):
    target = tmp_path / "report.json"
    target.write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(PermanentError, match="file too large"):
            run_module.write_report(target, report())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"report.json": "old"}


def test_only_the_worst_ten_are_shown(capsys):
    show_report(
        report(*(finding(name=f"flow/{n:02}") for n in range(12)), finding(Status.ERROR, "unseen")), "http://ui/1"
    )

    shown = capsys.readouterr().out
    assert shown.count("pool-mismatch") == 10
    assert shown.index("unseen") < shown.index("flow/00")
    assert "and 3 more findings" in shown
    assert shown.endswith("Run: http://ui/1\n")


def test_changes_are_shown_with_what_failed_first(capsys):
    subject = Subject("secret", "token", "token")
    changes = [Change("promote", subject, Outcome.DONE, "Due."), Change("retire", subject, Outcome.FAILED, "Gone.")]

    show_report(report(changes=changes, mode="enforce"), "")

    assert (
        "Changes:\n  failed: retire secret token. Gone.\n  done: promote secret token. Due.\n"
        in capsys.readouterr().out
    )


def test_names_cannot_act_on_the_terminal(capsys):
    show_report(report(finding(name="\x1b[2Jnightly\u202e")), "")

    assert "?[2Jnightly?" in capsys.readouterr().out


# how it ends


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (BadInputError("No.", "Do."), 2, "No. Do.\n"),
        (TemporaryError("No.", "Do."), 3, "Try again later: No. Do.\n"),
        (PermanentError("No.", "Do."), 3, "No. Do.\n"),
        (RuntimeError(SECRET), 3, "Something unexpected happened (RuntimeError)."),
        (KeyboardInterrupt(), 3, "Interrupted."),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_error_ends_in_one_line_and_its_exit_code(error, code, words, placement, monkeypatch):
    def fail(path):
        raise error

    monkeypatch.setattr(run_module, "require_writable", fail)

    done = invoke("run", "verify-placement", "--policy", placement.path, "--json", "x")

    assert (done.exit_code, done.stderr.startswith(words)) == (code, True)
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr


def test_debug_shows_the_traceback(placement, monkeypatch):
    def fail(path):
        raise RuntimeError

    monkeypatch.setattr(run_module, "require_writable", fail)

    done = invoke("--debug", "run", "verify-placement", "--policy", placement.path, "--json", "x")

    assert (done.exit_code, "Traceback" in done.stderr) == (3, True)


def test_a_run_without_a_report_could_not_be_done():
    with pytest.raises(PermanentError, match=r"without a report \(ValueError\)"):
        run_module.report_of(ValueError(SECRET), "http://ui/1")


def test_an_error_of_the_flow_is_told_as_it_is():
    with pytest.raises(TemporaryError, match="Taken"):
        run_module.report_of(TemporaryError("Taken."), "")


def test_a_reader_that_leaves_early_is_no_crash(tmp_path, offline):
    for number in range(100):
        (tmp_path / f"{number}.yaml").write_text("".join(f"{n}: x\n" for n in range(200)))

    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {COMMAND} check . | head -1"],
        env=offline,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def on_a_terminal(*arguments, environment):
    """Return what a command writes to a terminal."""
    ours, theirs = pty.openpty()
    subprocess.run([COMMAND, *map(str, arguments)], env=environment, stdout=theirs, stderr=theirs, check=False)
    os.close(theirs)
    written = b""
    try:
        while chunk := os.read(ours, 65536):
            written += chunk
    except OSError:
        pass
    os.close(ours)
    return written.decode()


def test_colours_are_for_terminals_that_want_them(tmp_path, offline):
    (tmp_path / "a.yaml").write_text("")
    arguments = ("check", tmp_path / "a.yaml")

    assert "\x1b[" in on_a_terminal(*arguments, environment=offline)
    assert "\x1b[" not in on_a_terminal(*arguments, environment={**offline, "NO_COLOR": "1"})
    assert "\x1b[" not in vigiles(*arguments, environment={**offline, "TERM": "xterm-256color"}).stdout
