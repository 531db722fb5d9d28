"""Prefect's Secret blocks as a store: on a real server, on the simulator, and the one held against the other."""

import json
import threading
import uuid

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import PrefectHTTPStatusError
from pydantic import SecretStr, ValidationError
from support.canary import plant, scan
from support.prefect_blocks import PrefectBlocks
from support.stores.faults import told
from support.stores.interface import intercept
from support.stores.prefect_secret import ServedSecretBlocks, SimulatedSecretBlocks, SimulatedSecretObjects
from support.stores.world import CHAINS, World

from blocks.secret_stores import secret_documents
from blocks.secret_stores.interface import (
    ConflictError,
    DeniedError,
    SecretAddress,
    StoreState,
    SupersededError,
    ThrottledError,
)
from blocks.secret_stores.prefect_secret import LONGEST_NAME, PrefectSecretStore
from rules.errors import PermanentError, TemporaryError
from rules.rotation import Journal

pytestmark = [pytest.mark.server]


@pytest.fixture
def real(prefect_api):
    return ServedSecretBlocks(prefect_api)


@pytest.fixture
def simulated():
    return SimulatedSecretBlocks(PrefectBlocks())


@pytest.fixture(params=["simulated", "real"])
def backend(request):
    return request.getfixturevalue(request.param)


def raw(backend, name):
    """Return what a block holds, as it is stored, or None."""
    with backend.client() as client:
        body = {"block_documents": {"name": {"any_": [name]}}, "block_types": {"slug": {"any_": ["secret"]}}}
        rows = client.request(
            "POST", "/block_documents/filter", json=body | {"include_secrets": True, "limit": 9}
        ).json()
    return rows[0]["data"]["value"] if rows else None


def records(world):
    """Return the names of the records of a secret."""
    found = world.backend.make()._opened.containing(f"vigiles--{world.address.secret}--")
    return sorted(row["name"] for row in found)


# On a real server.


def test_a_rotation_on_a_real_server_ends_with_one_record_without_values(real):
    world = World(real, pair=True)
    world.after("forget")
    assert world.consume() == world.new
    (name,) = records(world)
    assert world.old[1] not in raw(real, name)
    assert world.new[1] not in raw(real, name)


@pytest.mark.parametrize("step", CHAINS)
def test_a_superseded_run_writes_nothing_on_a_real_server(step, real):
    world = World(real, pair=False)
    seen = world.before(step).state()
    world.take("claim", real.make())
    before = world.state()
    with pytest.raises(SupersededError):
        world.call(step, world.store, seen)
    assert (world.state(), world.consume()) == (before, world.value(before.current))


def test_of_claims_at_the_same_moment_one_wins_on_a_real_server(real):
    world, barrier, outcomes = World(real, pair=False), threading.Barrier(4), []
    world.put(world.old)
    seen, stores = world.state(), [real.make() for _ in range(4)]

    def claim(store):
        barrier.wait()
        try:
            outcomes.append(world.call("claim", store, seen))
        except TemporaryError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=claim, args=(store,)) for store in stores]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len([outcome for outcome in outcomes if isinstance(outcome, StoreState)]) == 1
    assert world.state().journal.epoch == 1


def test_a_first_version_is_made_on_a_real_server(real):
    world = World(real, pair=False)
    world.rotate(world.new)
    assert world.consume() == world.new


def test_a_large_value_is_held_by_a_real_server(real):
    world = World(real, pair=False)
    large = (None, "x" * 1_000_000)
    world.put(large)
    world.rotate((None, "y" * 1_000_000))
    assert world.consume() == (None, "y" * 1_000_000)


def test_the_block_itself_is_saved_and_loaded_and_asks_the_runs_own_server(prefect_api):
    PrefectSecretStore(prefix="contract-").save("contract-store", overwrite=True)
    store, world = PrefectSecretStore.load("contract-store"), World(ServedSecretBlocks(prefect_api), pair=True)
    world.store = store
    world.after("promote")
    assert world.consume() == world.new
    assert [permission.granted for permission in store.permissions(world.address)] == [True]


def test_no_value_gets_out_of_a_rotation_on_a_real_server(real, prefect_api, capfd, caplog):
    caplog.set_level("DEBUG")
    world = World(real, pair=True)
    world.old, world.new = ("old.user", plant("old")), ("new.user", plant("new"))
    world.after("forget")
    output = dict(zip(("stdout", "stderr"), capfd.readouterr(), strict=True)) | {"log": caplog.text}
    assert scan([world.old[1], world.new[1]], server=prefect_api, output=output) == []
    with httpx.Client(base_url=prefect_api.url) as client:
        resources = {"resource": {"id_prefix": ["prefect.block-document."]}}
        events = client.post("/events/filter", json={"filter": resources, "limit": 50}).json()["events"]
    assert [event for event in events if world.address.secret in json.dumps(event)]


def test_what_prefect_shows_of_an_object_it_hides_of_a_text(real):
    """Why the documentation of the store recommends a text; once this fails, it need not any more."""
    text, fields = (f"contract-{uuid.uuid4().hex[:12]}" for _ in range(2))
    real._save(SecretAddress(secret=text), '{"password": "seen"}')
    real._save(SecretAddress(secret=fields), {"password": "seen"})
    with real.client() as client:
        body = {"block_documents": {"name": {"any_": [text, fields]}}}
        shown = {r["name"]: r["data"] for r in client.request("POST", "/block_documents/filter", json=body).json()}
    assert shown == {text: {"value": "********"}, fields: {"value": {"password": "seen"}}}


# The simulator, held against the real server.


def conversation(backend, name):
    """Return the answers to every kind of request that the store makes, ids and times left out."""
    with backend.client() as client:

        def ask(method, path, body=None):
            try:
                answer = client.request(method, path, json=body)
            except PrefectHTTPStatusError as error:
                return error.response.status_code, {}
            return answer.status_code, answer.json() if answer.content else {}

        type_id = ask("GET", "/block_types/slug/secret")[1]["id"]
        wanted = {"block_type_id": {"any_": [type_id]}}
        schemas = ask("POST", "/block_schemas/filter", {"block_schemas": wanted, "limit": 1})[1]
        ids = {"block_type_id": type_id, "block_schema_id": schemas[0]["id"]}
        found = {"block_types": {"slug": {"any_": ["secret"]}}, "include_secrets": True, "limit": 200}
        steps = []
        for value in ("text", {"a": {"b": {}}, "c": "********"}):
            made = ask("POST", "/block_documents/", {"name": name, "data": {"value": value}} | ids)
            steps += [made, ask("POST", "/block_documents/", {"name": name, "data": {"value": "x"}} | ids)]
            one = f"/block_documents/{made[1]['id']}"
            for wanted in ({"any_": [name]}, {"any_": ["none"]}, {"like_": name[3:]}, {"like_": name.upper()}):
                steps.append(ask("POST", "/block_documents/filter", found | {"block_documents": {"name": wanted}}))
            for new in ("other", "********", {"a": {}, "c": "********", "d": 1.0}, "again"):
                steps += [ask("PATCH", one, {"data": {"value": new}})]
                steps += [
                    ask("POST", "/block_documents/filter", found | {"block_documents": {"name": {"any_": [name]}}})
                ]
            steps += [ask("DELETE", one), ask("DELETE", one), ask("PATCH", one, {"data": {"value": "late"}})]
        steps.append(ask("POST", "/block_documents/", {"name": "No_Name", "data": {"value": "x"}} | ids))
    return [(status, kept(answer)) for status, answer in steps]


def kept(answer):
    if isinstance(answer, list):
        return [kept(row) for row in answer]
    return {k: answer[k] for k in ("name", "data", "is_anonymous", "block_document_references") if k in answer}


def test_the_simulator_answers_as_the_real_server_does(simulated, real):
    name = f"contract-{uuid.uuid4().hex[:12]}"
    assert conversation(simulated, name) == conversation(real, name)


# What is kept, and what is refused.


def test_the_block_keeps_its_id_and_a_text_stays_a_text(backend):
    world = World(backend, pair=True)
    world.put(world.old)
    around, before = world.surroundings(), raw(backend, world.address.secret)
    world.after("confirm")
    after = raw(backend, world.address.secret)
    assert world.surroundings() == around
    assert after == before.replace(world.old[1], world.new[1]).replace(world.old[0], world.new[0])


@pytest.mark.parametrize("pair", [False, True])
def test_an_object_stays_an_object(pair):
    backend = SimulatedSecretObjects(PrefectBlocks())
    world = World(backend, pair=pair)
    world.put(world.old)
    before, around = raw(backend, world.address.secret), world.surroundings()
    world.after("forget")
    after = raw(backend, world.address.secret)
    assert world.consume() == world.new
    assert world.surroundings() == around
    assert list(after) == list(before)


@pytest.mark.parametrize("text", ["12345", "1e3", "null", '"a"', "{}"])
def test_a_text_that_consumers_would_not_read_back_is_refused_when_it_is_staged(text, simulated):
    world = World(simulated, pair=False)
    world.after("claim")
    with pytest.raises(PermanentError, match="decodes JSON"):
        world.stage((None, text))
    assert world.state().pending is None


def test_a_number_that_is_there_can_be_rotated_away(simulated):
    world = World(simulated, pair=False)
    world.old = (None, "12345")
    state = world.after("promote")
    assert world.value(state.previous) == (None, "12345")
    assert world.consume() == world.new


@pytest.mark.parametrize("text", ["********", "lone \ud800 surrogate"])
def test_a_text_that_the_server_would_not_keep_is_refused_when_it_is_staged(text, simulated):
    world = World(simulated, pair=False)
    world.after("claim")
    with pytest.raises(PermanentError, match="cannot hold"):
        world.stage((None, text))


@pytest.mark.parametrize("value", [12345, ["a"], None, True, {"a": "b"}])
def test_a_block_of_neither_text_nor_fields_is_refused_by_preflight(value, simulated):
    address = simulated.address(pair=False)
    simulated._save(address, value)
    with pytest.raises(PermanentError, match="neither a text nor an object"):
        simulated.make().preflight(address)


@pytest.mark.parametrize(
    "name",
    ["", "other-name", "contract_x", "contract-É", "contract-" + "x" * LONGEST_NAME, "contract-A", "contract-\n"],
)
def test_a_name_that_is_not_to_be_rotated_is_refused_before_any_call(name, simulated):
    store, calls = simulated.make(), []
    intercept(store, lambda operation, request: calls.append(operation) or request())
    for call in (store.preflight, store.observe, store.permissions):
        with pytest.raises(PermanentError):
            call(SecretAddress(secret=name))
    assert calls == []


def test_the_record_of_a_secret_is_not_rotated_itself(simulated):
    store = PrefectSecretStore(prefix="v")
    store._opened = simulated.make()._opened
    with pytest.raises(PermanentError, match="no record of ours"):
        store.observe(SecretAddress(secret="vigiles--contract-a--1"))


@pytest.mark.parametrize("prefix", ["", "Upper", "under_score"])
def test_a_prefix_that_guards_nothing_is_refused(prefix):
    with pytest.raises(ValidationError):
        PrefectSecretStore(prefix=prefix)


def test_secrets_whose_names_begin_alike_do_not_see_each_others_records(simulated):
    short, long = World(simulated, pair=False), World(simulated, pair=False)
    long.address = SecretAddress(secret=f"{short.address.secret}--1")
    long.after("stage")
    short.after("stage")
    assert [short.value(short.state().pending), long.value(long.state().pending)] == [short.new, long.new]


def test_a_record_that_was_tampered_with_is_refused_and_says_nothing(simulated):
    world = World(simulated, pair=False)
    world.after("stage")
    documents = simulated.make()._opened
    (row,) = documents.containing(f"vigiles--{world.address.secret}--")
    documents.replace(row["id"], row["data"]["value"][:-9])
    with pytest.raises(PermanentError, match="not what was written") as caught:
        world.state()
    assert not [value for value in (world.old[1], world.new[1]) if value in told(caught.value)]


# Fencing.


def test_a_late_writer_whose_number_is_free_again_writes_nothing(backend):
    """Records 1 to 4 came and went, so that 2 could be made by one who saw 1 last."""
    world = World(backend, pair=False)
    world.after("claim")
    late, waiting, go = backend.make(), threading.Event(), threading.Event()

    def act(operation, request):
        if operation.startswith("create_"):
            waiting.set()
            assert go.wait(30)
        return request()

    intercept(late, act)
    seen, failures = world.state(), []

    def write():
        try:
            world.call("stage", late, seen)
        except SupersededError as error:
            failures.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    assert waiting.wait(30)
    for _ in range(3):
        world.take("record")
    before = world.state()
    go.set()
    thread.join()
    assert len(failures) == 1
    assert world.state() == before
    assert len(records(world)) == 1


def test_the_first_of_all_records_is_not_made_again_by_a_late_writer(simulated):
    world = World(simulated, pair=False)
    world.put(world.old)
    late, done = simulated.make(), []

    def act(operation, request):
        if operation.startswith("create_") and not done:
            done.append(operation)
            for step in ("claim", "record"):
                world.take(step, simulated.make())
        return request()

    seen = world.state()
    intercept(late, act)
    with pytest.raises(SupersededError):
        world.call("claim", late, seen)
    assert world.state().journal.epoch == 1
    assert world.state().journal.intent_at is not None
    assert len(records(world)) == 1


def test_a_superseded_run_that_reads_only_old_answers_promotes_nothing(simulated):
    world, answers = World(simulated, pair=False), {}
    old = simulated.make()
    replaying = threading.Event()

    def act(operation, request):
        if not operation.startswith("read_"):
            return request()
        if not replaying.is_set():
            answers[operation] = request()
        return answers[operation]

    intercept(old, act)
    world.before("promote")
    seen = old.observe(world.address)
    world.take("claim", simulated.make())
    replaying.set()
    with pytest.raises(SupersededError):
        world.call("promote", old, seen)
    assert world.consume() == world.old


def test_records_of_an_interrupted_writer_are_cleared_by_the_next_one(simulated):
    world = World(simulated, pair=False)
    world.after("claim")

    def act(operation, request):
        if operation.startswith("delete_"):
            raise httpx.ConnectError("gone")
        return request()

    with pytest.raises(TemporaryError):
        world.take("record", intercept(simulated.make(), act))
    assert len(records(world)) == 2
    assert world.state().journal.intent_at is not None
    world.take("stage")
    assert len(records(world)) == 1


def test_a_value_that_somebody_else_writes_at_the_same_moment_is_a_conflict(simulated):
    world = World(simulated, pair=False)
    world.after("stage")
    other = world.fresh("other")

    def act(operation, request):
        answer = request()
        if operation == f"update_block_document {world.address.secret}":
            world.put(other)
        return answer

    with pytest.raises(ConflictError):
        world.take("promote", intercept(simulated.make(), act))
    assert world.consume() == other


# Errors.


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, DeniedError),
        (403, DeniedError),
        (422, PermanentError),
        (429, ThrottledError),
        (500, TemporaryError),
        (503, TemporaryError),
        (408, TemporaryError),
    ],
)
def test_every_refusal_is_told_apart_without_its_text(status, error, simulated):
    world = World(simulated, pair=False)
    seen = world.after("claim")
    refused = SimulatedSecretBlocks(simulated._service.refusing(status)).make()
    refused._opened._ids.update(simulated.make()._opened._ids)
    with pytest.raises(error) as caught:
        refused.observe(world.address)
    assert caught.value.advice
    with pytest.raises(error):
        refused.stage(world.address, seen.journal, None, SecretStr("s3cret"))
    assert "s3cret" not in told(caught.value)


def test_what_the_server_echoes_when_it_refuses_a_value_is_not_told(real):
    documents, store = real.make()._opened, real.make()
    documents.read_type()
    documents.read_schema()
    with pytest.raises(PrefectHTTPStatusError) as vendor:
        documents.create("No_Name", "s3cret-echoed", None)
    assert "s3cret-echoed" in str(vendor.value)
    with pytest.raises(PermanentError) as caught:
        store._call("create_block_document No_Name", lambda: documents.create("No_Name", "s3cret-echoed", None))
    assert "s3cret-echoed" not in told(caught.value)


def test_a_lost_answer_is_not_asked_for_again_behind_our_back():
    asked = []

    def lose(request):
        asked.append(request.url.path)
        if request.url.path == "/api/csrf-token":
            return httpx.Response(422, json={"detail": "CSRF protection is disabled."})
        raise httpx.ReadTimeout("lost")

    store = PrefectSecretStore(prefix="a")
    client = SyncPrefectClient("http://prefect.invalid/api", httpx_settings={"transport": httpx.MockTransport(lose)})
    store._opened = secret_documents.SecretDocuments(client)
    with pytest.raises(TemporaryError):
        store.observe(SecretAddress(secret="a"))
    assert asked.count("/api/block_documents/filter") == 1


def test_a_database_that_was_busy_for_a_moment_is_asked_again(simulated, monkeypatch):
    service, world = simulated._service, World(simulated, pair=False)
    world.put(world.old)
    answers, answered = iter([503, 503]), service._answered
    monkeypatch.setattr(service, "_answered", lambda request: (s, {}) if (s := next(answers, 0)) else answered(request))
    assert world.store.observe(world.address).journal == Journal()


def test_without_a_server_the_setting_is_named(monkeypatch):
    from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_ALLOW_EPHEMERAL_MODE, temporary_settings

    with (
        temporary_settings(updates={PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: False}, restore_defaults={PREFECT_API_URL}),
        pytest.raises(PermanentError, match="PREFECT_API_URL"),
    ):
        PrefectSecretStore(prefix="a").observe(SecretAddress(secret="a"))
