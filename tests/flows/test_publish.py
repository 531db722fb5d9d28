"""Publishing to a real server: all checked first, ids kept, old keys gone, the same again changes nothing."""

import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from support.prefect_server import free_port
from support.trial_policy import TRIAL_KINDS, TrialPolicy

from blocks.estate.paging import request
from blocks.policies.loader import load_policies
from flows.publish import Saved, limit_name, publish_policies
from rules.errors import BadInputError, PermanentError, TemporaryError

pytestmark = pytest.mark.server


class Folder:
    """A folder with one policy that only this test has."""

    def __init__(self, path):
        self.path = path
        self.name = f"trial-{uuid.uuid4().hex[:12]}"
        self.limit = f"vigiles-trial-policy-{self.name}"

    def load(self, more="", things="[{name: one}]", file="policy.yaml", name=None):
        text = f"kind: TrialPolicy\nversion: 1\nname: {name or self.name}\nthings: {things}\n{more}"
        (self.path / file).write_text(text)
        return load_policies([self.path], TRIAL_KINDS)

    def publish(self, more="", things="[{name: one}]"):
        (published,) = publish_policies(self.load(more, things))
        return published

    def document(self, name=None):
        with get_client(sync_client=True) as client:
            found = request(
                client, "POST", "/block_documents/filter", {"block_documents": {"name": {"any_": [name or self.name]}}}
            )
        return found[0] if found else None


def patch(path, body):
    with get_client(sync_client=True) as client:
        request(client, "PATCH", path, body)


def read_limit(name):
    with get_client(sync_client=True) as client:
        return client.read_global_concurrency_limit_by_name(name)


@pytest.fixture
def folder(prefect_api, tmp_path):
    return Folder(tmp_path)


def test_a_new_policy_is_created_and_can_be_loaded(folder):
    published = folder.publish()

    loaded = TrialPolicy.load(folder.name)
    assert (published.saved, published.slug) == (Saved.CREATED, f"trial-policy/{folder.name}")
    assert loaded.digest == loaded.compute_digest() == published.digest


def test_publishing_again_changes_nothing(folder):
    folder.publish("vocabulary: {}\n")
    before = folder.document()

    again = folder.publish("vocabulary: {}\n")

    assert (again.saved, again.changed, folder.document()) == (Saved.UNCHANGED, (), before)


def test_an_update_keeps_the_id_and_says_what_changed(folder):
    folder.publish("max_changes: 3\n")
    before = folder.document()

    updated = folder.publish("max_changes: 4\nvocabulary: {a: [b]}\n")

    assert str(updated) == f"updated trial-policy/{folder.name} (max_changes, vocabulary)"
    assert folder.document()["id"] == before["id"]
    assert TrialPolicy.load(folder.name).max_changes == 4


def test_a_key_that_the_document_no_longer_has_does_not_survive(folder):
    folder.publish("max_changes: 3\nvocabulary: {a: [b], c: [d]}\n")

    folder.publish("vocabulary: {c: [d]}\n")

    stored = TrialPolicy.load(folder.name)
    assert (stored.max_changes, stored.vocabulary) == (20, {"c": ["d"]})


def test_a_key_that_the_model_does_not_know_is_removed_from_the_server(folder):
    folder.publish()
    before = folder.document()
    patch(f"/block_documents/{before['id']}", {"data": {"left_over": 1}, "merge_existing_data": True})
    assert folder.document()["data"]["left_over"] == 1

    updated = folder.publish()

    assert updated.changed == ("left_over",)
    assert folder.document() | {"updated": ""} == before | {"updated": ""}


def test_an_edit_by_hand_is_overwritten(folder):
    folder.publish()
    patch(f"/block_documents/{folder.document()['id']}", {"data": {"max_changes": 9000}, "merge_existing_data": True})

    assert folder.publish().changed == ("max_changes",)
    assert TrialPolicy.load(folder.name).max_changes == 20


def test_a_false_digest_is_repaired(folder):
    folder.publish()
    patch(f"/block_documents/{folder.document()['id']}", {"data": {"digest": "0" * 64}, "merge_existing_data": True})

    assert folder.publish().changed == ("digest",)
    assert folder.publish().saved is Saved.UNCHANGED


def test_the_limit_that_keeps_enforcing_runs_apart_exists(folder):
    folder.publish()

    limit = read_limit(folder.limit)
    assert (limit.limit, limit.active) == (1, True)


def test_a_limit_that_was_changed_is_put_right(folder):
    folder.publish()
    patch(f"/v2/concurrency_limits/{folder.limit}", {"limit": 7, "active": False})

    updated = folder.publish()

    limit = read_limit(folder.limit)
    assert (updated.saved, updated.changed) == (Saved.UPDATED, ("concurrency limit",))
    assert (limit.limit, limit.active) == (1, True)


def test_nothing_is_saved_if_a_named_block_is_missing(folder):
    folder.load(name=f"{folder.name}-good", file="a.yaml")
    loaded = folder.load(f"places: [{{block: secret/{folder.name}-x}}]\n")

    with pytest.raises(BadInputError) as raised:
        publish_policies(loaded)

    assert f"policy.yaml: the block secret/{folder.name}-x does not exist." in str(raised.value)
    assert folder.document() is folder.document(f"{folder.name}-good") is None


def test_a_named_block_of_another_type_is_refused(folder):
    Secret(value="x").save(folder.name)

    with pytest.raises(
        BadInputError, match=f"the block json/{folder.name} does not exist; there is secret/{folder.name}"
    ):
        folder.publish(f"places: [{{block: json/{folder.name}}}]\n")


def test_a_reference_without_a_type_is_refused(folder):
    with pytest.raises(BadInputError, match="somewhere is no block: write type-slug/name"):
        folder.publish("places: [{block: somewhere}]\n")


def test_a_named_block_that_exists_is_accepted(folder):
    Secret(value="x").save(folder.name)

    assert folder.publish(f"places: [{{block: secret/{folder.name}}}]\n").saved is Saved.CREATED


def test_nothing_is_saved_if_one_file_is_bad(folder):
    (folder.path / "bad.yaml").write_text("kind: TrialPolicy\n")

    with pytest.raises(BadInputError, match=r"bad.yaml:1:1: P040 `name` is required"):
        publish_policies(folder.load())

    assert folder.document() is None


def test_nothing_to_publish_is_refused(prefect_api):
    with pytest.raises(BadInputError, match="there is no policy"):
        publish_policies(load_policies([]))


def test_a_server_that_does_not_answer_is_a_temporary_error(folder):
    loaded = folder.load()
    with (
        temporary_settings(updates={PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}),
        pytest.raises(TemporaryError, match="did not answer"),
    ):
        publish_policies(loaded)


@pytest.mark.parametrize(("status", "error"), [(500, TemporaryError), (403, PermanentError)])
def test_a_server_that_refuses_is_told_without_its_words(status, error, folder):
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"echo of a secret")

        def do_POST(self):
            self.do_GET()

        def log_message(self, *arguments):
            pass

    loaded = folder.load()
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as refusing:
        threading.Thread(target=refusing.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{refusing.server_port}/api"
        with temporary_settings(updates={PREFECT_API_URL: url}), pytest.raises(error, match=str(status)) as raised:
            publish_policies(loaded)
        refusing.shutdown()

    assert "secret" not in str(raised.value)


def test_a_failure_half_way_says_what_was_done_before_it(folder):
    class Torn(TrialPolicy):
        _block_type_slug = "torn-trial-policy"

        def compute_digest(self):
            return uuid.uuid4().hex

    kinds = {**TRIAL_KINDS, "TornPolicy": lambda: Torn}
    folder.load(file="a.yaml")
    (folder.path / "b.yaml").write_text(f"kind: TornPolicy\nversion: 1\nname: {folder.name}\nthings: [{{name: one}}]\n")

    with pytest.raises(PermanentError) as raised:
        publish_policies(load_policies([folder.path], kinds))

    assert f"Before it: created trial-policy/{folder.name}." in str(raised.value)


def test_of_two_that_publish_a_policy_first_one_is_told_to_publish_again(folder):
    class Raced(TrialPolicy):
        _block_type_slug = "raced-trial-policy"

        def save(self, name, **options):
            TrialPolicy.save(self, name, overwrite=True)  # what the other one did a moment ago
            return super().save(name, **options)

    (folder.path / "a.yaml").write_text(
        f"kind: RacedPolicy\nversion: 1\nname: {folder.name}\nthings: [{{name: one}}]\n"
    )
    loaded = load_policies([folder.path], {"RacedPolicy": lambda: Raced})

    with pytest.raises(TemporaryError, match="was created meanwhile") as raised:
        publish_policies(loaded)
    assert raised.value.advice == "Publish again."
    assert [published.changed for published in publish_policies(loaded)] == [("concurrency limit",)]


def test_a_policy_that_cannot_be_saved_at_all_is_not_said_to_be_there(folder):
    class Unsaveable(TrialPolicy):
        _block_type_slug = "unsaveable-trial-policy"

        def save(self, name, **options):
            raise ValueError("not like this")

    (folder.path / "a.yaml").write_text(f"kind: NoPolicy\nversion: 1\nname: {folder.name}\nthings: [{{name: one}}]\n")

    with pytest.raises(ValueError, match="not like this"):
        publish_policies(load_policies([folder.path], {"NoPolicy": lambda: Unsaveable}))


def test_the_limit_is_named_after_the_flow_that_takes_the_policy(tmp_path):
    (tmp_path / "a.yaml").write_text("kind: AccessPolicy\nversion: 1\nname: production\ndirectory: a-directory/self\n")
    (only,) = load_policies([tmp_path]).policies

    assert limit_name(only.policy) == "vigiles-report-rbac-drift-production"
