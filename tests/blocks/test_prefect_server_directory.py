"""What the probes see of real servers with different settings, and of servers that misbehave."""

import asyncio
import contextlib
import inspect
import ipaddress
import json
import logging
import sqlite3
import ssl
import threading
import time
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from prefect.filesystems import LocalFileSystem
from support import canary, faulty_server, guarded_server, prefect_server
from support.guarded_server import AUTH, FERNET, HALVES, client_of
from support.postures import SERVER
from websockets.sync.server import serve

from blocks.access_directories import probes
from blocks.access_directories.interface import AccessDirectory, load_directory
from blocks.access_directories.prefect_server import PrefectServerDirectory
from blocks.access_directories.probes import SOCKETS, installed
from blocks.access_directories.reach import listens, own_addresses
from blocks.access_directories.requester import CannotSeeError, Reply, Requester
from rules.errors import BadInputError
from rules.posture.observations import Answer, KeyPlace, Posture, Transport, Unseen, is_loopback

HEADER = canary.plant("header").replace(canary.AWKWARD, "-")
PROBED = [f.name for f in fields(Posture) if f.name not in ("server", "transport", "packages", "beyond_loopback")]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, migrated_database):
    """Auth string, CSRF protection, restricted CORS, and the encryption key in the environment."""
    with prefect_server.running(
        tmp_path_factory.mktemp("guarded"), migrated_database, guarded_server.SETTINGS
    ) as server:
        with client_of(server, AUTH):
            PrefectServerDirectory(api_url=server.url).save("guarded")
        yield server


@pytest.fixture(scope="module")
def opened(tmp_path_factory, migrated_database):
    """Nothing set: no auth, no CSRF, any origin, a generated key; and a header in the server's own profile."""
    settings = {"PREFECT_CLIENT_CUSTOM_HEADERS": json.dumps({"Proxy-Authorization": HEADER})}
    with prefect_server.running(tmp_path_factory.mktemp("open"), migrated_database, settings) as server:
        yield server


@pytest.fixture(scope="module")
def emptied(tmp_path_factory, migrated_database):
    """An auth string that is set and empty."""
    settings = {"PREFECT_SERVER_API_AUTH_STRING": ""}
    with prefect_server.running(tmp_path_factory.mktemp("empty"), migrated_database, settings) as server:
        yield server


def look(url, **more) -> Posture:
    posture = PrefectServerDirectory(api_url=url, **{"timeout_seconds": 30, **more}).observe().posture
    assert isinstance(posture, Posture)
    return posture


def rows(database, since):
    """Count rows; of events, which the server stores some seconds late, those that occurred after an instant."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        tables = ("csrf_token", "configuration", "block_document", "flow", "flow_run", "variable", "artifact")
        counts = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}
        events = connection.execute("SELECT count(*) FROM events WHERE occurred > ?", [since]).fetchone()[0]
    return counts | {"events": events}


def test_a_guarded_server_is_seen_as_guarded(guarded):
    with client_of(guarded, AUTH):
        seen = look(guarded.url, database=str(guarded.database))

    assert (seen.health, seen.accounts, seen.csrf, seen.foreign_origin) == (True, False, True, "")
    assert (seen.anonymous, seen.wrong, seen.empty, seen.suffix) == (Answer.REFUSED,) * 4
    assert seen.non_ascii is Answer.BROKE
    assert seen.sockets == dict.fromkeys(SOCKETS, Answer.REFUSED)
    assert seen.version == seen.packages["prefect"]
    assert (seen.shown_headers, seen.beyond_loopback) == ((), False)
    assert seen.encryption_key is KeyPlace.ELSEWHERE


def test_the_public_pages_of_a_guarded_server_are_seen(guarded):
    with client_of(guarded, AUTH):
        seen = look(guarded.url)

    assert seen.schema == ("/docs", "/openapi.json", "/redoc")
    assert {"auth", "csrf_enabled"} <= set(seen.ui_settings)


def test_an_open_server_is_seen_as_open(opened):
    with client_of(opened):
        seen = look(opened.url)

    assert (seen.health, seen.accounts, seen.csrf, seen.foreign_origin) == (True, False, False, "*")
    assert (seen.anonymous, seen.wrong, seen.empty, seen.suffix, seen.non_ascii) == (Answer.SERVED,) * 5
    assert seen.sockets == dict.fromkeys(SOCKETS, Answer.SERVED)
    assert seen.open
    assert seen.loopback_only


def test_of_the_headers_a_server_shows_only_the_names_are_kept(opened):
    with client_of(opened):
        seen = look(opened.url)

    assert seen.shown_headers == ("Proxy-Authorization",)
    assert not canary.search(repr(seen).encode(), "posture", [HEADER])


def test_a_server_with_an_empty_auth_string_lets_the_empty_credential_in(emptied):
    with client_of(emptied):
        seen = look(emptied.url)

    assert (seen.anonymous, seen.wrong) == (Answer.REFUSED, Answer.REFUSED)
    assert seen.empty is Answer.SERVED
    assert seen.sockets == dict.fromkeys(SOCKETS, Answer.SERVED)
    assert isinstance(seen.shown_headers, Unseen)


def test_a_generated_encryption_key_is_found_in_the_database_once_there_is_one(opened):
    with client_of(opened):
        before = look(opened.url, database=str(opened.database)).encryption_key
        PrefectServerDirectory(api_url=opened.url).save("first-block")
        after = look(opened.url, database=str(opened.database)).encryption_key

    assert before == Unseen("no block was saved on this server yet, so it has not shown where its key comes from")
    assert after is KeyPlace.DATABASE


def test_the_database_of_another_server_proves_nothing(opened, guarded, tmp_path):
    text = tmp_path / "text.db"
    text.write_text("no database")
    with client_of(opened):
        reasons = [
            look(opened.url, database=str(path)).encryption_key.reason
            for path in (guarded.database, tmp_path / "missing.db", text)
        ]
        reasons.append(look(opened.url).encryption_key.reason)

    words = (
        "not the one that the server uses",
        "no file",
        "could not be read (DatabaseError)",
        "the API does not tell",
    )
    assert [word in reason for word, reason in zip(words, reasons, strict=True)] == [True] * 4


def test_looking_writes_nothing_to_the_server(guarded):
    since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    before = rows(guarded.database, since)
    with client_of(guarded, AUTH):
        look(guarded.url, database=str(guarded.database))
    time.sleep(6)

    assert rows(guarded.database, since) == before


def test_the_credential_appears_in_no_observation_and_no_log(guarded, caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "websockets", "asyncio", "prefect"):
        caplog.set_level(logging.DEBUG, logger=name)
    with client_of(guarded, AUTH):
        seen = look(guarded.url, database=str(guarded.database))

    written = f"{seen!r}\n{caplog.text}".encode()
    assert b"/api/admin/settings" in written
    assert canary.search(written, "log", [AUTH, *HALVES, FERNET]) == []


def test_a_server_that_is_not_the_run_s_own_is_seen_as_an_anonymous_caller_sees_it(guarded, opened):
    with client_of(opened, AUTH):
        seen = look(guarded.url, database=str(guarded.database))

    assert seen.anonymous is Answer.REFUSED
    assert seen.version == seen.packages["prefect"]
    assert seen.csrf is True
    assert {type(v) for v in (seen.shown_headers, seen.accounts, seen.encryption_key)} == {Unseen}


FAULTS = {
    "hang": (faulty_server.hang, "did not answer within 1 s"),
    "drip": (faulty_server.drip, "did not answer within 1 s"),
    "reset": (faulty_server.reset, "request failed (Re"),
    "html": (faulty_server.answer("200 OK", b"<html>log in</html>", Content_Type="text/html"), "not Prefect's"),
    "deep json": (faulty_server.answer("200 OK", b"[" * 100_000), "not Prefect's"),
    "broken": (faulty_server.answer("500 Internal Server Error", b"oops"), "answered 500"),
    "unavailable": (faulty_server.answer("503 Service Unavailable"), "answered 503"),
    "flood": (faulty_server.flood, "longer than"),
    "redirect": (faulty_server.answer("307 Temporary Redirect", Location="/elsewhere"), "redirect (307)"),
    "garbage": (lambda connection, _: connection.sendall(b"\x00" * 99), "RemoteProtocolError"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_server_that_misbehaves_shows_nothing_and_ends_nothing(fault):
    behaviour, reason = FAULTS[fault]
    started = time.monotonic()
    with faulty_server.running(behaviour) as server, client_of(server, AUTH):
        seen = look(server.url, timeout_seconds=1 if "1 s" in reason else 10)

    assert reason in seen.health.reason
    # A page that is not Prefect's at the places of the schema is truly no schema; a 5xx is an answer of its own.
    green = {name for name in PROBED if not isinstance(getattr(seen, name), Unseen | Answer)}
    assert green <= {"schema", "foreign_origin"}
    assert Answer.SERVED not in {getattr(seen, name) for name in ("anonymous", "wrong", "empty", "non_ascii", "suffix")}
    assert time.monotonic() - started < 15


def json_answer(value):
    return faulty_server.answer("200 OK", json.dumps(value).encode())


NOT_FOUND = faulty_server.answer("404 Not Found", b'{"detail":"Not Found"}')
HEADERS = {"A": "****", "B": ["x"], "C": "y"}
ODD_ANSWERS = [
    ("accounts", {"/api/me/": json_answer({"id": "u1"})}, True),
    ("accounts", {"/api/me/": faulty_server.answer("502 Bad Gateway")}, "answered 502"),
    ("version", {"/api/admin/version": faulty_server.answer("401 Unauthorized")}, "answered 404"),
    (
        "version",
        {"/api/admin/version": faulty_server.answer("401 Unauthorized"), "/openapi.json": json_answer({"info": []})},
        "refused what credential this run has (401)",
    ),
    ("version", {"/api/admin/version": json_answer({"version": "3"})}, "something that is not Prefect's"),
    ("suffix", {"/api/variables/name/vigiles-probe-health": faulty_server.answer("418 Teapot")}, "answered 418"),
    ("suffix", {"/api/variables/name/vigiles-probe-health": json_answer({"name": "x"})}, Answer.SERVED),
    ("ui_settings", {"/ui-settings": json_answer({"flags": []})}, "something that is not Prefect's"),
    ("ui_settings", {}, ()),
    ("shown_headers", {"/api/admin/settings": json_answer({"server": {}})}, "have another shape"),
    ("shown_headers", {"/api/admin/settings": json_answer({"client": {"custom_headers": HEADERS}})}, ("B", "C")),
    ("csrf", {"/api/flows/count": json_answer("three")}, "something that is not Prefect's"),
    ("encryption_key", {"/api/block_types/slug/secret": json_answer({"id": 7})}, "named nothing"),
]


@pytest.mark.parametrize(("field", "routes", "expected"), ODD_ANSWERS)
def test_an_answer_is_taken_for_what_it_is_and_no_more(field, routes, expected, tmp_path):
    behaviour = faulty_server.routes(routes, NOT_FOUND)
    with faulty_server.running(behaviour) as server, client_of(server, AUTH):
        seen = getattr(look(server.url, database=str(tmp_path / "prefect.db")), field)

    if type(expected) is str:
        assert expected in seen.reason
    else:
        assert seen == expected


def test_a_probe_that_fails_in_an_unforeseen_way_ends_only_itself():
    class Broken(Requester):
        async def anonymous(self, url, headers=None, method="GET"):
            if url.endswith("/health"):
                raise LookupError(AUTH)
            return Reply(401, {}, b"")

    seen = observe_with(Broken)

    assert seen.health == Unseen("the probe failed (LookupError)")
    assert seen.anonymous is Answer.REFUSED


def test_an_interrupt_is_not_taken_for_an_observation():
    class Interrupted(Requester):
        async def anonymous(self, url, headers=None, method="GET"):
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        observe_with(Interrupted)


def observe_with(requester):
    ask = requester("http://127.0.0.1:1/api", 1, ssl.create_default_context(), {})
    return asyncio.run(probes.observe(SERVER, Transport("http", "127.0.0.1"), ask, None))


def old_server(socket):
    socket.recv()


def crashing_server(socket):
    socket.close(1011)


def chatty_server(socket):
    socket.recv()
    socket.send('{"type": "hello"}')


SOCKET_SERVERS = [
    (old_server, None, {}, Answer.SERVED),
    (crashing_server, ["prefect"], {}, "closed without a verdict"),
    (chatty_server, ["prefect"], {}, "not Prefect's"),
    (None, None, {"process_request": lambda c, r: c.respond(404, "no sockets here")}, "a websocket answered 404"),
    (None, None, {"process_request": lambda c, r: c.respond(403, "no")}, Answer.REFUSED),
]


@pytest.mark.parametrize(("behaviour", "subprotocols", "more", "expected"), SOCKET_SERVERS)
def test_a_websocket_is_judged_by_how_it_meets_a_client_without_a_token(behaviour, subprotocols, more, expected):
    with serve(behaviour, "127.0.0.1", 0, subprotocols=subprotocols, **more) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        seen = look(f"http://127.0.0.1:{server.socket.getsockname()[1]}/api").sockets
        server.shutdown()

    if type(expected) is str:
        assert expected in seen.reason
    else:
        assert seen == dict.fromkeys(SOCKETS, expected)


def test_credentials_follow_no_redirect():
    with faulty_server.running(faulty_server.answer("200 OK", b'"3.8.8"')) as thief:
        away = faulty_server.answer("307 Temporary Redirect", Location=thief.url)
        with faulty_server.running(away) as server, client_of(server, AUTH):
            look(server.url)
            sent = [r for r in server.requests if "authorization: basic" in r.lower()]

    assert thief.requests == []
    assert len(sent) > 4


def test_the_credential_goes_nowhere_but_to_the_run_s_own_api():
    headers = {"PREFECT_CLIENT_CUSTOM_HEADERS": {"X-Proxy-Token": HEADER}}
    refusal = faulty_server.answer("401 Unauthorized")
    with (
        faulty_server.running(refusal) as own,
        faulty_server.running(refusal) as other,
        client_of(own, AUTH, **headers),
    ):
        look(own.url)
        look(other.url)

    leaked, kept = ("\n".join(s.requests).encode() for s in (other, own))
    assert canary.search(leaked, "other", [AUTH, HEADER, *HALVES]) == []
    assert {leak.form for leak in canary.search(kept, "own", [AUTH, HEADER])} >= {"base64+0", "raw"}


def test_anonymous_probes_carry_no_credential():
    with faulty_server.running(faulty_server.answer("401 Unauthorized")) as server, client_of(server, AUTH):
        look(server.url)

    anonymous = [r for r in server.requests if "GET /api/health" in r or "/ui-settings" in r or "GET /api/events" in r]
    assert len(anonymous) == 4
    assert not any("authorization" in r.lower() for r in anonymous)


def test_probes_only_read():
    with faulty_server.running(faulty_server.answer("401 Unauthorized")) as server, client_of(server, AUTH):
        look(server.url)

    asked = {" ".join(request.split(" ", 2)[:2]) for request in server.requests}
    assert {line for line in asked if not line.startswith(("GET ", "OPTIONS "))} == {"POST /api/flows/count"}
    assert "GET /api/csrf-token" not in str(asked)


def test_a_server_that_cannot_be_reached_shows_nothing():
    with client_of(prefect_server.PrefectServer("http://127.0.0.1:1/api", Path(), Path(), 0)):
        seen = look("http://127.0.0.1:1/api")

    assert {type(getattr(seen, name)) for name in PROBED} == {Unseen}


@pytest.mark.parametrize(
    "url",
    [
        "https://api.prefect.cloud/api/accounts/1b/workspaces/2c",
        "https://api.prefect.cloud/api",
        "https://app.stg.prefect.cloud/api",
        "https://prefect.example.com/api/accounts/1b/workspaces/2c",
    ],
)
def test_prefect_cloud_is_not_probed(url):
    started = time.monotonic()
    access = PrefectServerDirectory(api_url=url).observe()

    assert access.posture == Unseen("this is Prefect Cloud, and drift on Cloud follows in a later version")
    assert time.monotonic() - started < 1


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate for 127.0.0.1: what it is signed with, and a server's side of TLS."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    today = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).add_extension(address, critical=False)
    signed = builder.not_valid_before(today - timedelta(hours=1)).not_valid_after(today + timedelta(days=1))
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(signed.sign(key, SHA256()).public_bytes(Encoding.PEM) + secret)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return path, context


CERTIFICATES = [
    ({}, None, True),
    ({"PREFECT_API_SSL_CERT_FILE": "its own"}, Answer.REFUSED, True),
    ({"PREFECT_API_TLS_INSECURE_SKIP_VERIFY": True}, Answer.REFUSED, False),
]


@pytest.mark.parametrize(("settings", "expected", "verified"), CERTIFICATES)
def test_certificates_are_checked_as_the_client_checks_them(certificate, settings, expected, verified):
    path, context = certificate
    trusted = {name: str(path) if value == "its own" else value for name, value in settings.items()}
    refusal = faulty_server.answer("401 Unauthorized")
    with faulty_server.running(refusal, tls=context) as server, client_of(server, AUTH, **trusted):
        seen = look(server.url)

    assert (seen.transport.scheme, seen.transport.verified) == ("https", verified)
    assert seen.anonymous == (expected or Unseen("the request failed (ConnectError)"))
    assert seen.sockets == (
        dict.fromkeys(SOCKETS, expected) if expected else Unseen("a websocket failed (SSLCertVerificationError)")
    )
    assert bool(server.requests[0]) is bool(expected)


@pytest.mark.parametrize(
    "bad",
    [
        {"api_url": "prefect.example.com/api"},
        {"api_url": "ftp://prefect.example.com/api"},
        {"api_url": f"https://admin:{HALVES[0]}@prefect.example.com/api"},
        {"api_url": f"https://prefect.example.com/api?token={HALVES[0]}"},
        {"api_url": "https://prefect.example.com/api", "database": "prefect.db"},
        {"api_url": "https://prefect.example.com/api", "timeout_seconds": 0},
    ],
)
def test_a_directory_that_cannot_be_right_is_refused_without_being_repeated(bad):
    with pytest.raises(ValueError, match="validation error") as refused:
        PrefectServerDirectory(**bad)

    assert HALVES[0] not in str(refused.value)


def test_a_directory_is_loaded_by_its_slug(guarded):
    with client_of(guarded, AUTH):
        directory = load_directory("prefect-server-directory/guarded")

    assert isinstance(directory, AccessDirectory)
    assert inspect.isabstract(AccessDirectory)


@pytest.mark.parametrize(
    ("slug", "message"),
    [
        ("prefect-server-directory/missing", "could not be loaded"),
        ("no-such-type/guarded", "could not be loaded"),
        ("local-file-system/guarded", "is no access directory"),
    ],
)
def test_a_slug_that_names_no_directory_is_bad_input(guarded, slug, message):
    with client_of(guarded, AUTH):
        LocalFileSystem(basepath="/").save("guarded", overwrite=True)
        with pytest.raises(BadInputError, match=message):
            load_directory(slug)


def test_a_port_that_accepts_at_another_address_is_reachable_beyond_loopback():
    # 127.0.0.2 stands for an address of the machine that is not the one the server is used at.
    with (
        faulty_server.running(faulty_server.hang, "127.0.0.1") as narrow,
        faulty_server.running(faulty_server.hang, "0.0.0.0") as wide,
    ):
        seen = [asyncio.run(listens(["127.0.0.2"], urlsplit(s.url).port, 5)) for s in (narrow, wide)]

    assert seen == [False, True]
    assert asyncio.run(listens([], 1, 5)) is False


def test_an_address_that_says_nothing_is_not_taken_for_one_that_refuses():
    with pytest.raises(CannotSeeError, match="did not answer within 0 s"):
        asyncio.run(listens(["127.0.0.2"], 1, 0))


def test_the_machine_s_own_addresses_are_not_loopback():
    assert not any(is_loopback(address) for address in own_addresses())


def test_a_server_used_over_the_network_is_beyond_loopback():
    with faulty_server.running(faulty_server.answer("401 Unauthorized")) as server:
        port = urlsplit(server.url).port
        ask = Requester(f"http://127.0.0.1:{port}/api", 5, ssl.create_default_context(), {})
        seen = asyncio.run(probes.observe(SERVER, Transport("http", "prefect.example.com"), ask, None))

    assert seen.beyond_loopback is True


def test_a_directory_can_be_looked_into_from_async_code():
    async def look_from_a_loop(url):
        return look(url).anonymous

    with faulty_server.running(faulty_server.answer("401 Unauthorized")) as server:
        assert asyncio.run(look_from_a_loop(server.url)) is Answer.REFUSED


def test_packages_that_are_not_installed_are_not_judged():
    assert set(installed(("prefect", "no-such-distribution"))) == {"prefect"}
