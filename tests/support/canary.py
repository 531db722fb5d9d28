"""The canary scan: unique secrets, searched in every form and every place in which one could have leaked.

Plant secrets, run a flow, then ``scan`` what the run left behind. A scanner that cannot fail proves nothing:
``tests/flows/test_canary_scan.py`` leaks on purpose and must be caught.
"""

import base64
import contextlib
import functools
import gzip
import html
import json
import os
import sqlite3
import time
import urllib.parse
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from support.prefect_server import request

AWKWARD = "'\"%\n\\é{x}$&"
"""Characters that quoting, URL-encoding, formatting and JSON each treat in their own way."""


def plant(name: str = "canary") -> str:
    """Return a secret that occurs nowhere else, with awkward characters in its middle."""
    return f"{name}-{uuid.uuid4().hex}{AWKWARD}{uuid.uuid4().hex}"


@dataclass(frozen=True)
class Leak:
    """One place where a form of a secret was seen.

    Attributes:
        place: where, such as ``database:log.message``.
        form: how it was written, such as ``raw`` or ``base64+1``.
    """

    place: str
    form: str


@functools.cache
def forms(secret: str) -> dict[str, bytes]:
    """Return every form of a secret that the scan looks for, by name.

    Besides the whole secret, its halves around the awkward characters are searched raw: an encoding nobody thought of
    rarely touches 32 hex digits.
    """
    raw = secret.encode()
    found = {
        "raw": raw,
        "url": urllib.parse.quote(secret, safe="").encode(),
        "url-plus": urllib.parse.quote_plus(secret).encode(),
        "json": json.dumps(secret)[1:-1].encode(),
        "json-utf8": json.dumps(secret, ensure_ascii=False)[1:-1].encode(),
        "json-twice": json.dumps(json.dumps(secret))[3:-3].encode(),
        "hex": raw.hex().encode(),
        "hex-upper": raw.hex().upper().encode(),
        "repr": repr(secret)[1:-1].encode(),
        "html": html.escape(secret).encode(),
        "reversed": secret[::-1].encode(),
        "utf-16": secret.encode("utf-16-le"),
    }
    for shift in range(3):
        # With 0, 1 or 2 bytes before it, base64 writes the same bytes in three ways; the edges depend on neighbours.
        encoded = base64.b64encode(b"\0" * shift + raw)
        found[f"base64+{shift}"] = encoded[4 if shift else 0 : -4]
        found[f"base64url+{shift}"] = encoded[4 if shift else 0 : -4].translate(bytes.maketrans(b"+/", b"-_"))
    if AWKWARD in secret:
        head, _, tail = secret.partition(AWKWARD)
        found |= {"head": head.encode()[-32:], "tail": tail.encode()}
    # Most forms of a value of letters and digits are one and the same.
    first = {needle: form for form, needle in reversed(found.items())}
    return {form: needle for needle, form in first.items()}


def search(content: bytes, place: str, secrets: Iterable[str]) -> list[Leak]:
    """Return the leaks of any of the secrets in ``content``, also where base64 was wrapped into lines."""
    unwrapped = content.replace(b"\\n", b"").replace(b"\r", b"").replace(b"\n", b"")
    texts = (content,) if unwrapped == content else (content, unwrapped)
    return [
        Leak(place, form)
        for secret in secrets
        for form, needle in forms(secret).items()
        if any(needle in text for text in texts)
    ]


def scan_files(root: Path, secrets: Iterable[str], *, allowed: Iterable[Path] = ()) -> list[Leak]:
    """Return the leaks in every file below ``root``, packed ones unpacked; the store itself is allowed to hold them."""
    wanted, permitted = list(secrets), {path.resolve() for path in allowed}
    leaks: list[Leak] = []
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            if path.resolve() in permitted or not path.is_file():
                continue
            content = path.read_bytes()
            leaks += search(content, f"file:{path}", wanted)
            leaks += search(str(path).encode(), f"name:{path}", wanted)
            if content[:2] == b"\x1f\x8b":
                leaks += search(gzip.decompress(content), f"gzip:{path}", wanted)
    return leaks


def scan_database(database: Path, secrets: Iterable[str]) -> list[Leak]:
    """Return the leaks in a dump of every column of every table, and in the raw bytes of the database and its WAL."""
    wanted = list(secrets)
    leaks = []
    for path in (database, database.with_name(database.name + "-wal")):
        if path.exists():
            leaks += search(path.read_bytes(), f"bytes:{path.name}", wanted)
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            cursor = connection.execute(f'SELECT * FROM "{table}"')
            columns = [column[0] for column in cursor.description]
            for row in cursor:
                for column, value in zip(columns, row, strict=True):
                    content = value if isinstance(value, bytes) else str(value).encode()
                    leaks += search(content, f"database:{table}.{column}", wanted)
    return leaks


API_LISTS = {
    "logs": "/logs/filter",
    "flow runs": "/flow_runs/filter",
    "task runs": "/task_runs/filter",
    "artifacts": "/artifacts/filter",
    "events": "/events/filter",
    "variables": "/variables/filter",
    "deployments": "/deployments/filter",
    "automations": "/automations/filter",
}


def scan_api(
    url: str, secrets: Iterable[str], headers: Mapping[str, str] | None = None, lists: Iterable[str] = tuple(API_LISTS)
) -> list[Leak]:
    """Return the leaks in what the API itself hands out: states, parameters, logs, artifacts, events."""
    wanted = list(secrets)
    leaks = []
    for name, path in API_LISTS.items():
        if name not in lists:
            continue
        offset = 0
        while True:
            body = {"limit": 50} if name == "events" else {"limit": 200, "offset": offset}
            answer = request("POST", f"{url}{path}", body, headers)
            leaks += search(answer.content, f"api:{name}", wanted)
            rows = answer.json()
            if name == "events" or len(rows) < 200:
                break
            offset += 200
    return leaks


def settle(server: object) -> None:
    """Wait until the server has stored every event that reached it: it writes them in batches, in their order."""
    marker = str(uuid.uuid4())
    event = {
        "id": marker,
        "occurred": datetime.now(UTC).isoformat(),
        "event": "canary.settled",
        "resource": {"prefect.resource.id": f"canary.{marker}"},
    }
    request("POST", f"{server.url}/events", [event])
    for _ in range(120):
        with contextlib.closing(sqlite3.connect(f"file:{server.database}?mode=ro", uri=True)) as connection:
            if connection.execute(
                "SELECT 1 FROM events WHERE event = 'canary.settled' AND id = ?", [marker]
            ).fetchone():
                return
        time.sleep(0.25)
    raise AssertionError("the server did not store an event in 30 s")


def scan(
    secrets: Iterable[str],
    *,
    server: object,
    output: Mapping[str, str | bytes] | None = None,
    folders: Iterable[Path] = (),
    allowed: Iterable[Path] = (),
) -> list[Leak]:
    """Return every leak of any of the secrets in all places at once; a clean run gives an empty list.

    Args:
        secrets: the planted values.
        server: a ``support.prefect_server.PrefectServer``: its API, database, WAL, log and home are searched.
        output: text by name, such as captured stdout and stderr, exceptions, process arguments.
        folders: further folders to search: results, reports, temporary files.
        allowed: files that hold the secret by design: the store itself.
    """
    wanted = list(secrets)
    settle(server)
    leaks = []
    for name, text in (output or {}).items():
        leaks += search(text.encode() if isinstance(text, str) else text, f"output:{name}", wanted)
    leaks += scan_api(server.url, wanted)
    leaks += scan_database(server.database, wanted)
    for folder in (server.home, *folders):
        leaks += scan_files(folder, wanted, allowed=[server.database, *allowed])
    return leaks
