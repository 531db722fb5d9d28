"""The .env store: bytes that stay, quotes that all readers understand, refusals that change nothing, kills."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError
from support.dying_rotation import killer
from support.unprivileged import make_reachable

from blocks.secret_stores.env import env_disk, env_text
from blocks.secret_stores.env_file import EnvFileStore
from blocks.secret_stores.generation import generate_password
from blocks.secret_stores.interface import SecretAddress
from rules.errors import PermanentError, TemporaryError
from rules.rotation.journal import claimed, confirmed

TOKEN = SecretAddress("API_TOKEN")
PAIR = SecretAddress("DB_PASSWORD", "DB_USER")
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    file = folder / ".env"
    file.write_text("# mine\nAPI_TOKEN=old\nOTHER=1\n")
    file.chmod(0o640)
    return file


@pytest.fixture
def store(path):
    return EnvFileStore(path=path)


def claim(store, address=TOKEN):
    seen = store.observe(address)
    return store.claim(address, seen, claimed(seen.journal, "r"))


def promote(store, staged, address=TOKEN):
    return store.promote(address, staged.journal, staged.pending, staged.current)


def confirm(store, state, address=TOKEN):
    return store.confirm(address, confirmed(state.journal, state.current, NOW, timedelta(0)))


def rotate(store, address=TOKEN, value="new", username=None):
    staged = store.stage(address, claim(store, address).journal, username, SecretStr(value))
    return confirm(store, promote(store, staged, address), address)


def sourced(path, key):
    """Return what a shell makes of the file."""
    script = f'set -a; . "$1"; printf %s "${key}"'
    done = subprocess.run(["/bin/sh", "-c", script, "sh", str(path)], capture_output=True, check=True)
    return done.stdout.decode()


def test_reading_leaves_no_trace(path, store):
    store.observe(TOKEN)
    store.preflight(TOKEN)
    assert [p.name for p in path.parent.iterdir()] == [".env"]


def test_a_rotation_changes_one_line_and_keeps_mode_and_the_rest(path, store):
    path.write_bytes(b"# \xff bytes\r\n\r\n  export  API_TOKEN = 'old'   # why\r\nA=\"1\n2\"\r\nLAST=x")
    rotate(store)
    assert path.read_bytes() == b'# \xff bytes\r\n\r\n  export  API_TOKEN=new   # why\r\nA="1\n2"\r\nLAST=x'
    assert path.stat().st_mode & 0o777 == 0o640
    assert store.sidecar.stat().st_mode & 0o777 == 0o600


def test_nothing_temporary_is_left_behind(path, store):
    rotate(store)
    assert sorted(p.name for p in path.parent.iterdir()) == [".env", ".env.vigiles", ".env.vigiles-lock"]


def test_a_missing_key_is_appended_on_its_own_line(path, store):
    path.write_text("OTHER=1")
    rotate(store)
    assert path.read_text() == "OTHER=1\nAPI_TOKEN=new\n"


def test_both_keys_of_a_pair_are_replaced_at_once(path, store, monkeypatch):
    seen = []
    replace = env_disk.replace
    monkeypatch.setattr(env_disk, "replace", lambda p, content: (seen.append((p.name, content)), replace(p, content)))
    rotate(store, PAIR, "secret-1", "role one")
    assert [content for name, content in seen if name == ".env"] == [
        b"# mine\nAPI_TOKEN=old\nOTHER=1\nDB_USER='role one'\nDB_PASSWORD=secret-1\n"
    ]


@given(st.text(min_size=1, max_size=40))
def test_every_value_is_read_alike_by_dotenv_and_shell_or_refused(tmp_path_factory, value):
    try:
        text = env_text.with_values("A=1\n", {"KEY": value})
    except PermanentError:
        return
    file = tmp_path_factory.mktemp("env") / "env"
    file.write_text(text)
    assert dotenv_values(file)["KEY"] == sourced(file, "KEY") == value


@pytest.mark.parametrize(
    "value", ["$HOME", "${HOME}", "a`id`", "back\\slash", "two\nlines", "both ' and \"", "it's!\""]
)
def test_values_that_readers_would_read_differently_are_refused(value):
    with pytest.raises(PermanentError, match="differently"):
        env_text.quote("KEY", value)


@pytest.mark.parametrize("value", ["", "# x", "a b", "it's", 'say "hi"', "a=b&c", "ü", "!x", "~", "*", "a;b"])
def test_awkward_lines_are_replaced_whole(tmp_path, value):
    file = tmp_path / "env"
    file.write_text(f"KEY={env_text.quote('KEY', value) if value else ''} # note\nB=2\n")
    file.write_text(env_text.with_values(file.read_text(), {"KEY": "new value"}))
    assert dotenv_values(file) == {"KEY": "new value", "B": "2"}
    assert file.read_text() == "KEY='new value' # note\nB=2\n"


@pytest.mark.parametrize(
    ("text", "word"),
    [("KEY=1\nKEY=2\n", "more than once"), ("KEY='open\n", "cannot be read"), ("KEY\n", "cannot be read")],
)
def test_a_file_that_is_unclear_about_the_key_is_refused(text, word):
    with pytest.raises(PermanentError, match=word):
        env_text.read_value(text, "KEY")


def test_a_key_in_another_value_is_no_setting():
    text = 'A="\nKEY=1\n"\n#KEY=2\nMY_KEY=3\n'
    assert env_text.read_value(text, "KEY") is None
    assert env_text.with_values(text, {"KEY": "4"}) == text + "KEY=4\n"


def test_a_generated_value_needs_no_quotes_and_is_no_json():
    for _ in range(200):
        value = generate_password(22).get_secret_value()
        assert env_text.quote("KEY", value) == value
        assert value[0].isalpha()
    with pytest.raises(ValueError, match="22"):
        generate_password(21)


def make_link(path):
    real = path.with_name("real")
    path.rename(real)
    path.symlink_to(real)


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (make_link, "symbolic link"),
        (lambda path: path.unlink(), "no file"),
        (lambda path: (path.unlink(), path.mkdir()), "regular file"),
        (lambda path: path.parent.chmod(0o777), "Anybody may write"),
        (lambda path: path.chmod(0o666), "Anybody may write"),
        (lambda path: path.with_name(".env.vigiles").symlink_to("/etc/passwd"), "symbolic link"),
        (lambda path: path.with_name(".env.vigiles").write_text("{}"), "not what was written"),
        (lambda path: path.with_name(".env.vigiles").write_text("{"), "not what was written"),
        (
            lambda path: path.with_name(".env.vigiles").write_text(
                '{"version": 1, "key": "aa", "secrets": {"X": {"journal": {}, "pending": null, "previous": null}}}'
            ),
            "not what was written",
        ),
    ],
)
def test_what_is_not_safe_is_refused_with_a_reason(spoil, word, path, store):
    spoil(path)
    for call in (lambda: store.preflight(TOKEN), lambda: store.observe(TOKEN), lambda: claim(store)):
        with pytest.raises(PermanentError, match=word):
            call()


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(PermanentError, match="no directory"):
        EnvFileStore(path=tmp_path / "none" / ".env").observe(TOKEN)


def test_a_relative_path_is_refused():
    with pytest.raises(ValidationError, match="absolute"):
        EnvFileStore(path="here/.env")


def as_another_user(function):
    """Run the function in a process of the user nobody; return what it printed of its error."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            function()
            os.write(write, b"no error")
        except PermanentError as error:
            os.write(write, str(error).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        return pipe.read().decode()


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


@needs_root
def test_a_file_of_another_user_is_refused(tmp_path_factory, path, store):
    make_reachable(path)
    assert "belongs to another user" in as_another_user(lambda: store.observe(TOKEN))


def test_a_read_only_folder_is_refused_and_the_file_stays(path, store):
    path.parent.chmod(0o500)
    before = path.read_bytes()
    if os.geteuid() == 0:
        make_reachable(path.parent)
        os.chown(path, 65534, 65534)
        os.chown(path.parent, 65534, 65534)
        said = as_another_user(lambda: store.preflight(TOKEN))
        assert "read-only" in said
        assert "cannot be opened" in as_another_user(lambda: claim(store))
    else:
        with pytest.raises(PermanentError, match="read-only"):
            store.preflight(TOKEN)
    assert path.read_bytes() == before
    path.parent.chmod(0o700)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_full_disk_leaves_the_old_file_and_no_trace(path, store, monkeypatch, code):
    staged = store.stage(TOKEN, claim(store).journal, None, SecretStr("new"))
    before = path.read_bytes()

    def full(_descriptor):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(TemporaryError, match="keeps its old content"):
            promote(store, staged)
    assert path.read_bytes() == before
    assert not [p for p in path.parent.iterdir() if p.name.endswith("tmp")]
    promote(store, staged)
    assert dotenv_values(path)["API_TOKEN"] == "new"


def test_a_file_size_limit_of_the_kernel_is_a_clear_error(path):
    script = (
        "import resource, sys; from pathlib import Path; from rules.rotation.journal import claimed\n"
        "from blocks.secret_stores.env_file import EnvFileStore; from blocks.secret_stores.interface import *\n"
        "store, at = EnvFileStore(path=Path(sys.argv[1])), SecretAddress('API_TOKEN')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "seen = store.observe(at); store.claim(at, seen, claimed(seen.journal, 'r'))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    assert "keeps its old content: File too large" in done.stderr
    assert path.read_text() == "# mine\nAPI_TOKEN=old\nOTHER=1\n"


def test_a_writer_waits_for_another_and_gives_up_in_time(path, store, monkeypatch):
    monkeypatch.setattr(env_disk, "LOCK_SECONDS", 0.2)
    rotate(store)
    with path.with_name(".env.vigiles-lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(TemporaryError, match="Another process holds"):
            store.observe(TOKEN)
    assert store.observe(TOKEN).journal.epoch == 1


def test_only_one_of_many_claims_of_an_epoch_wins(path):
    outcomes, seen = [], EnvFileStore(path=path).observe(TOKEN)

    def compete():
        try:
            outcomes.append(EnvFileStore(path=path).claim(TOKEN, seen, claimed(seen.journal, "r")).journal.epoch)
        except TemporaryError:
            outcomes.append(None)

    threads = [threading.Thread(target=compete) for _ in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert sorted(outcomes, key=str) == [1, *[None] * 7]


def test_what_a_killed_writer_left_is_overwritten(path, store):
    leftover = path.with_name(".env.vigiles-tmp")
    leftover.write_text("half a fi")
    rotate(store)
    assert not leftover.exists()


def test_a_kill_at_any_system_call_leaves_a_complete_file_for_every_reader(path):
    path.write_text("# top\nDB_USER=old-user\nDB_PASSWORD=old-password-" + "x" * 4000 + "\n# bottom\n")
    original = path.read_bytes()
    bad, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            values = dotenv_values(path, interpolate=False)
            pair = (values.get("DB_USER"), (values.get("DB_PASSWORD") or "")[:12])
            if pair not in {("old-user", "old-password"), ("new-user", "new-password")} or len(values) != 2:
                bad.append(values)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    ended, at = None, 0
    with killer(path) as kill_at:
        while ended != 0:
            (path.parent / ".env.vigiles").unlink(missing_ok=True)
            path.with_name("fresh").write_bytes(original)
            path.with_name("fresh").replace(path)
            ended, at = kill_at(at), at + 1
            lines = path.read_text().splitlines()
            assert (lines[0], lines[-1], len(lines)) == ("# top", "# bottom", 4)
    stop.set()
    reader.join()
    assert at > 40
    assert bad == []


def test_a_rotation_that_was_killed_anywhere_can_be_finished(path):
    with killer(path) as kill_at:
        for at in range(0, 60, 7):
            kill_at(at)
            store = EnvFileStore(path=path)
            state = rotate(store, PAIR, f"value-{at}", "new-user")
            assert store.observe(PAIR) == state
            assert (state.pending, state.current) == (None, state.journal.confirmed)
            assert dotenv_values(path)["DB_USER"] == "new-user"


def test_waiting_for_the_lock_takes_no_longer_than_needed(path, store):
    began = time.monotonic()
    rotate(store)
    assert time.monotonic() - began < 5
