"""Runs of the command that write down, for a scan afterwards, every value that they made, read or minted.

``python -m support.recorded_run FOLDER ARGUMENTS...`` is ``vigiles ARGUMENTS...`` with a recorder: nothing behaves
otherwise. ``run`` starts it and looks at its arguments and environment while it runs.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

VALUES = "values.jsonl"
REMOVED = "removed"


def values(folder: Path) -> set[str]:
    """Return what the runs have written down."""
    file = folder / VALUES
    return {json.loads(line) for line in file.read_text().splitlines()} if file.exists() else set()


def run(command: Iterable[str], environment: Mapping[str, str], folder: Path) -> tuple[str, bytes]:
    """Run a command; return what it wrote, and each argument and environment that any of its processes had."""
    process = subprocess.Popen(
        [*command],
        env={**environment},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    seen: set[bytes] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            seen.update(_shown(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        written, _ = process.communicate(timeout=200)
    finally:
        over.set()
        watcher.join()
        process.kill()
    return written.decode(), b"\n".join(seen)


def _shown(session: int) -> Iterable[bytes]:
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(place.name)) == session:
                yield from ((place / name).read_bytes() for name in ("cmdline", "environ"))
        except OSError:
            continue


def record_values(folder: Path) -> None:
    """Write down every value from now on."""
    lock = threading.Lock()

    def note(value: str) -> None:
        with lock, (folder / VALUES).open("a") as file:
            file.write(json.dumps(value) + "\n")

    _record(note)


def keep_removed(folder: Path) -> None:
    """Keep a copy of every file that is removed from now on, but for those of a .env file's store."""
    kept = folder / REMOVED
    kept.mkdir(exist_ok=True)

    def keep(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.remove" and isinstance(arguments[0], str | os.PathLike):
            path = Path(arguments[0])
            if path.is_file() and ".env" not in path.name:
                shutil.copyfile(path, kept / f"{os.getpid()}-{threading.get_ident()}-{path.name}")

    sys.addaudithook(keep)


def _record(note: Callable[[str], None]) -> None:
    import hvac.adapters

    import flows.rotate_secrets
    from blocks.secret_stores import generation
    from blocks.secret_stores.interface import SecretVersion

    assert flows.rotate_secrets.NAME
    made, logged_in, begun = generation.generate_password, hvac.adapters.Adapter.login, SecretVersion.__init__

    def generate_password(length: int = 32) -> Any:
        password = made(length)
        note(password.get_secret_value())
        return password

    def login(self: Any, *arguments: Any, **options: Any) -> Any:
        answer = logged_in(self, *arguments, **options)
        note(answer["auth"]["client_token"])
        return answer

    def begin(self: Any, **fields: Any) -> None:
        begun(self, **fields)
        note(self.password.get_secret_value())

    for module in [*sys.modules.values()]:
        if getattr(module, "generate_password", None) is made:
            module.generate_password = generate_password
    hvac.adapters.Adapter.login = login
    SecretVersion.__init__ = begin


if __name__ == "__main__":
    record_values(Path(sys.argv[1]))
    keep_removed(Path(sys.argv[1]))
    from flows.cli.main import main

    sys.argv = ["vigiles", *sys.argv[2:]]
    main()
