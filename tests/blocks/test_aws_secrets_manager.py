"""What only Secrets Manager has: staging labels, slots, quotas, rights; the rest is in the contract suite."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from pydantic import SecretStr, ValidationError
from support import moto as moto_server
from support.moto import moto  # noqa: F401
from support.secrets_manager import SecretsManager, refusal
from support.stores.aws_secrets_manager import MotoSecretsManager, SimulatedSecretsManager
from support.stores.interface import intercept
from support.stores.world import GRACE, NOW, World

from blocks.secret_stores.aws.aws_labels import Slot, slot_of
from blocks.secret_stores.aws_secrets_manager import AwsSecretsManagerStore
from blocks.secret_stores.interface import (
    ConflictError,
    DeniedError,
    SecretAddress,
    SupersededError,
    ThrottledError,
    VersionGoneError,
)
from rules.errors import PermanentError, TemporaryError
from rules.rotation import Journal
from rules.rotation.journal import claimed, confirmed, discarded, intended, reverting


@pytest.fixture
def world() -> World:
    return World(SimulatedSecretsManager(), pair=True)


@pytest.fixture
def on_moto(moto) -> MotoSecretsManager:  # noqa: F811
    return MotoSecretsManager(moto)


def secret(world):
    return world.backend.service.secrets[world.address.secret]


def labels(world):
    """Return each label and the version that it is on."""
    return {label: name for name, version in secret(world).versions.items() for label in version.labels}


def counting(world):
    """Return a block of the world, and the list that its calls go to."""
    calls = []

    def act(operation, request):
        calls.append(operation.split()[0])
        return request()

    return intercept(world.backend.make(), act), calls


def enforce(world, store, pair):
    """Rotate as a run does: one block, from the observation to the confirmation."""
    seen = store.observe(world.address)
    state = store.claim(world.address, seen, claimed(seen.journal, "rotation"))
    store.reveal(world.address, state.current)
    state = store.stage(world.address, state.journal, pair[0], SecretStr(pair[1]))
    state = store.promote(world.address, state.journal, state.pending, state.current)
    revealed = store.reveal(world.address, state.current)
    assert (revealed.username, revealed.password.get_secret_value()) == pair
    return store.confirm(world.address, confirmed(state.journal, state.current, NOW, GRACE))


# Calls.


def test_the_first_rotation_of_a_secret_takes_eight_calls(world):
    world.put(world.old)
    store, calls = counting(world)
    enforce(world, store, world.new)
    assert calls == [
        "DescribeSecret",
        "PutSecretValue",
        "GetSecretValue",
        "PutSecretValue",
        "DescribeSecret",
        "UpdateSecretVersionStage",
        "GetSecretValue",
        "PutSecretValue",
    ]
    assert world.consume() == world.new


def test_every_further_rotation_takes_nine_calls(world):
    world.after("forget")
    store, calls = counting(world)
    newer = world.fresh("newer")
    enforce(world, store, newer)
    assert len(calls) == 9
    assert (world.consume(), world.state().journal.retire_after) == (newer, NOW + GRACE)


def test_observing_a_secret_that_was_never_rotated_takes_one_call(world):
    world.put(world.old)
    store, calls = counting(world)
    store.observe(world.address)
    assert calls == ["DescribeSecret"]


def test_a_rotation_writes_no_more_than_the_quota_says(world):
    world.put(world.old)
    store, calls = counting(world)
    state = enforce(world, store, world.new)
    store.forget(world.address, replace(state.journal, retire_after=None), state.previous)
    writes = [call for call in calls if call not in {"DescribeSecret", "GetSecretValue"}]
    assert len(writes) == AwsSecretsManagerStore.quota.writes


# Labels.


def test_a_pending_version_is_under_awspending_and_consumers_do_not_get_it(world):
    state = world.after("stage")
    client = SecretsManager(world.backend.service)
    found = client.get_secret_value(SecretId=world.address.secret, VersionStage="AWSPENDING")
    assert (found["VersionId"], json.loads(found["SecretString"])["password"]) == (state.pending, world.new[1])
    assert world.consume() == world.old


def test_a_forgotten_version_has_no_label_so_that_aws_purges_it(world):
    previous = world.after("confirm").previous
    assert labels(world)["AWSPREVIOUS"] == previous
    world.take("forget")
    assert "AWSPREVIOUS" not in labels(world)
    assert secret(world).versions[previous].labels == set()


def test_a_discarded_version_is_not_left_under_awspending(world):
    pending = world.after("stage").pending
    assert labels(world)["AWSPENDING"] == pending
    world.take("discard")
    assert "AWSPENDING" not in labels(world)


def test_only_six_labels_are_ever_used_and_each_is_on_one_version(world):
    world.after("confirm")
    for number in range(3):
        world.rotate(world.fresh(f"v{number}"), GRACE)
    found = [label for version in secret(world).versions.values() for label in version.labels]
    assert sorted(found) == [
        *("AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"),
        *("VIGILES-CLAIM", "VIGILES-JOURNAL", "VIGILES-STAGED"),
    ]


def test_no_journal_that_is_kept_holds_a_value(world):
    world.after("forget")
    kept = secret(world).versions
    notes = [v.content for name, v in kept.items() if slot_of(name) and world.new[1] not in v.content]
    staged = [v.content for v in kept.values() if world.new[1] in v.content]
    assert (len(notes), len(staged)) == (3, 1)
    assert not [note for note in notes if world.old[1] in note]
    assert all(set(json.loads(note)) == {"note", "journal", "current", "nonce"} for note in notes)


def test_a_previous_version_that_no_rotation_of_ours_left_is_not_ours_to_retire(world):
    world.put(world.old)
    world.put(world.fresh("other"))
    assert "AWSPREVIOUS" in labels(world)
    assert world.state().previous is None


def test_a_rotation_by_aws_that_is_under_way_is_seen_and_not_touched(world):
    state = world.after("claim")
    client, token = SecretsManager(world.backend.service), "4f6c9b1e-1d1c-4a2f-9c39-6b0f6a3f5d10"
    name = world.address.secret
    client.put_secret_value(SecretId=name, SecretString="{}", ClientRequestToken=token, VersionStages=["AWSPENDING"])
    before = labels(world)
    assert world.state() == replace(state, pending=token)
    with pytest.raises(ConflictError, match="not ours"):
        world.stage(world.new)
    assert labels(world) == before


def test_a_label_that_was_taken_off_by_hand_is_refused_with_the_remedy(world):
    world.after("confirm")
    secret(world).move("VIGILES-JOURNAL", None)
    with pytest.raises(PermanentError) as caught:
        world.state()
    assert "list-secret-version-ids" in caught.value.advice


def test_a_pending_version_whose_awspending_was_taken_off_is_still_pending(world):
    state = world.after("stage")
    secret(world).move("AWSPENDING", None)
    assert world.state() == state
    world.take("promote")
    assert world.consume() == world.new


def test_a_promoted_version_that_somebody_else_replaced_is_not_confirmed_without_a_look(world):
    world.before("confirm")
    seen = world.store.observe(world.address)
    world.put(world.fresh("other"))
    with pytest.raises(ConflictError):
        world.call("confirm", world.store, seen)


# Slots.


def test_a_claim_and_a_staged_version_of_the_epoch_that_it_ends_cannot_both_be(world):
    seen = world.after("claim")
    store = world.backend.make()
    store.observe(world.address)
    store.reveal(world.address, seen.current)
    other = world.backend.make()
    other.observe(world.address)
    store.stage(world.address, seen.journal, "user", SecretStr("staged-first"))
    with pytest.raises(SupersededError):
        other.claim(world.address, seen, claimed(seen.journal, "late"))
    assert world.state().journal.epoch == 1


def test_a_run_that_still_believes_in_its_epoch_stages_nothing_without_asking_again(world):
    store, calls = counting(world)
    world.put(world.old)
    seen = store.observe(world.address)
    state = store.claim(world.address, seen, claimed(seen.journal, "first"))
    store.reveal(world.address, state.current)
    world.take("claim", world.backend.make())
    calls.clear()
    with pytest.raises(SupersededError):
        store.stage(world.address, state.journal, "user", SecretStr("late"))
    assert calls[0] == "PutSecretValue"
    assert "AWSPENDING" not in labels(world)


def test_staging_whose_answer_was_lost_keeps_what_was_stored(world):
    world.put(world.old)
    armed, lost = [], []

    def act(operation, request):
        answer = request()
        if operation.startswith("PutSecretValue") and armed and not lost:
            lost.append(operation)
            raise world.backend.timeout()
        return answer

    store = intercept(world.backend.make(), act)
    seen = store.observe(world.address)
    state = store.claim(world.address, seen, claimed(seen.journal, "r"))
    store.reveal(world.address, state.current)
    armed.append(True)
    with pytest.raises(TemporaryError):
        store.stage(world.address, state.journal, *credential(world.new))
    kept = store.stage(world.address, state.journal, *credential(world.fresh("another")))
    assert len(lost) == 1
    assert world.value(kept.pending) == world.new


def credential(pair):
    return pair[0], SecretStr(pair[1])


def test_a_journal_that_was_written_before_staging_is_kept_with_the_base(world):
    state = world.after("claim")
    written = reverting(intended(state.journal, ("key",), NOW), "back")
    staged = world.store.stage(world.address, written, *credential(world.new))
    assert (staged.journal.rotation_id, staged.journal.base) == (written.rotation_id, state.current)
    assert (staged.journal.intent_at, staged.journal.live) == (written.intent_at, written.live)
    assert world.state() == staged


@pytest.mark.parametrize("slot", [Slot(0, 1), Slot(10**19, 9999)])
def test_a_slot_is_an_id_that_aws_takes_and_can_be_read_back(slot):
    assert 32 <= len(slot.version) <= 64
    assert slot_of(slot.version) == slot


def test_versions_of_others_are_in_no_slot():
    assert slot_of("4f6c9b1e-1d1c-4a2f-9c39-6b0f6a3f5d10") is None
    assert slot_of(None) is None


# Quotas and rights.


def test_a_secret_can_rotate_every_hour_for_years(world):
    world.put(world.old)
    for number in range(150):
        world.rotate(world.fresh(f"v{number}"), GRACE)
        world.take("forget")
        world._seen = None
        world.backend.service.pass_by(hours=1.01)
    assert len(secret(world).versions) <= 100
    assert world.state().journal.epoch == 150


def test_a_secret_that_rotates_too_often_is_refused_with_the_reason_and_stays_readable(world):
    world.put(world.old)
    for number in range(33):
        world.rotate(world.fresh(f"v{number}"), GRACE)
    read = world.consume()
    with pytest.raises(PermanentError) as caught:
        world.rotate(world.new, GRACE)
    assert "less often" in caught.value.advice
    assert world.consume() == read
    world.backend.service.pass_by(days=1.1)
    world.rotate(world.new, GRACE)
    assert world.consume() == world.new


PUT_OFF = {
    "RotationEnabled": ({"RotationEnabled": True}, PermanentError, "cancel-rotate-secret"),
    "OwningService": ({"OwningService": "rds"}, PermanentError, "policy"),
    "replica-failed": ({"ReplicationStatus": [{"Region": "eu-west-1", "Status": "Failed"}]}, PermanentError, "Repair"),
    "replica-behind": (
        {"ReplicationStatus": [{"Region": "eu-west-1", "Status": "InProgress"}]},
        TemporaryError,
        "sync",
    ),
}


@pytest.mark.parametrize("name", PUT_OFF)
def test_preflight_refuses_what_somebody_else_rotates_or_what_lags_behind(name, world):
    more, kind, advice = PUT_OFF[name]
    world.put(world.old)
    world.store.preflight(world.address)
    secret(world).more = more
    with pytest.raises(kind) as caught:
        world.store.preflight(world.address)
    assert advice in caught.value.advice


def test_preflight_passes_where_every_replica_is_in_sync(world):
    world.put(world.old)
    secret(world).more = {"ReplicationStatus": [{"Region": "eu-west-1", "Status": "InSync"}], "RotationEnabled": False}
    world.store.preflight(world.address)


def test_a_secret_without_a_value_is_refused_as_aws_would_make_a_claim_current(world):
    SecretsManager(world.backend.service).create_secret(Name=world.address.secret)
    assert world.state().current is None
    for call in (lambda: world.take("claim"), lambda: world.store.preflight(world.address)):
        with pytest.raises(PermanentError, match="no value yet"):
            call()
    assert secret(world).versions == {}


def test_the_first_version_put_into_the_simulator_is_current_whatever_labels_are_asked_for(world):
    client, name = SecretsManager(world.backend.service), world.address.secret
    client.create_secret(Name=name)
    client.put_secret_value(SecretId=name, SecretString="x", VersionStages=["ANY"])
    assert client.get_secret_value(SecretId=name)["SecretString"] == "x"


def test_a_binary_secret_is_refused_with_advice(world):
    SecretsManager(world.backend.service).create_secret(Name=world.address.secret, SecretBinary=b"\x00")
    with pytest.raises(PermanentError, match="binary") as caught:
        world.store.preflight(world.address)
    assert "SecretString" in caught.value.advice


def test_a_secret_that_is_going_to_be_deleted_is_refused_with_the_way_back(world):
    world.after("stage")
    world.backend.remove(world.address)
    with pytest.raises(PermanentError) as caught:
        world.state()
    assert f"restore-secret --secret-id {world.address.secret}" in caught.value.advice


def test_a_plain_text_secret_is_rotated_as_a_whole(world):
    address = SecretAddress(secret="plain/token")
    whole = World(world.backend, pair=False, address=address)
    whole.after("confirm")
    assert whole.backend.text(address) == whole.new[1]
    assert whole.value(whole.state().previous) == whole.old


CODES = {
    "ThrottlingException": ThrottledError,
    "AccessDeniedException": DeniedError,
    "UnrecognizedClientException": DeniedError,
    "ExpiredTokenException": DeniedError,
    "InternalServiceError": TemporaryError,
    "LimitExceededException": PermanentError,
    "EncryptionFailure": PermanentError,
    "DecryptionFailure": PermanentError,
    "ResourceNotFoundException": PermanentError,
    "InvalidParameterException": PermanentError,
    "MalformedPolicyDocumentException": PermanentError,
}


@pytest.mark.parametrize("code", CODES)
def test_what_aws_answers_is_told_by_its_meaning_and_never_in_its_words(code, world):
    error = world.store._translated("PutSecretValue prod/db", refusal(code, "s3cr3t-canary", "PutSecretValue"))
    assert type(error) is CODES[code]
    assert "canary" not in str(error)
    assert error.advice


def test_a_version_that_was_purged_is_told_as_gone(world):
    error = world.store._translated("GetSecretValue prod/db some-id", refusal("ResourceNotFoundException", "", "x"))
    assert isinstance(error, VersionGoneError)


# The block.


def test_credentials_are_named_by_the_slug_of_their_block():
    with pytest.raises(ValidationError, match="aws-credentials/NAME"):
        AwsSecretsManagerStore(credentials="production")


def test_importing_the_block_imports_no_sdk():
    code = (
        "import sys, blocks.secret_stores.aws_secrets_manager, blocks.rotation_targets.aws_iam_user;"
        "print([m for m in ('boto3', 'botocore', 'prefect_aws') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("year", ["0001", "9999"])
def test_a_journal_with_an_instant_that_nobody_wrote_is_refused_with_advice(year, world):
    world.after("confirm")
    noted = secret(world).versions[labels(world)["VIGILES-JOURNAL"]]
    assert '"2026-' in noted.content
    noted.content = noted.content.replace('"2026-', f'"{year}-')
    with pytest.raises(PermanentError, match="holds no journal") as caught:
        world.state()
    assert "VIGILES-JOURNAL" in caught.value.advice


# Somebody else changes another field.


def change_another_field(world):
    world.backend.put_text(world.address, world.backend.text(world.address).replace("5432", "5433"))


def purge(world, version):
    del secret(world).versions[version]


def test_after_another_field_changed_in_the_grace_the_displaced_version_is_still_the_previous_one(world):
    world.after("confirm")
    change_another_field(world)
    state = world.state()
    assert (world.value(state.previous), world.value(state.current)) == (world.old, world.new)
    assert labels(world)["AWSPREVIOUS"] != state.previous


def test_a_run_that_claims_anew_in_the_grace_still_retires_the_displaced_version(world):
    world.after("confirm")
    change_another_field(world)
    claimed_again = world.take("claim", world.backend.make())
    assert world.value(claimed_again.previous) == world.old
    world.take("forget")
    assert (world.state().previous, world.state().journal.retire_after) == (None, None)


def test_forgetting_leaves_awsprevious_where_somebody_else_moved_it(world):
    promoted = world.after("confirm").current
    change_another_field(world)
    world.take("forget")
    assert labels(world)["AWSPREVIOUS"] == promoted


def test_a_displaced_version_that_aws_has_purged_is_none_and_the_next_rotation_succeeds(world):
    previous = world.after("confirm").previous
    change_another_field(world)
    purge(world, previous)
    assert world.state().previous is None
    newer = world.fresh("newer")
    state = world.rotate(newer, GRACE)
    assert (world.consume(), world.value(state.previous)) == (newer, world.new)


def test_a_displaced_version_that_aws_purges_after_it_was_observed_is_gone_and_then_none(world):
    previous = world.after("confirm").previous
    change_another_field(world)
    store = world.backend.make()
    assert store.observe(world.address).previous == previous
    purge(world, previous)
    with pytest.raises(VersionGoneError):
        store.reveal(world.address, previous)
    assert store.observe(world.address).previous is None


def test_a_forgotten_version_is_not_revealed_on_the_word_of_an_older_observation(world):
    previous = world.after("confirm").previous
    store = world.backend.make()
    store.observe(world.address)
    world.take("forget")
    assert previous in secret(world).versions
    with pytest.raises(VersionGoneError):
        store.reveal(world.address, previous)


def test_a_version_that_is_current_again_is_the_previous_one_too(world):
    state = world.after("confirm")
    client = SecretsManager(world.backend.service)
    client.update_secret_version_stage(
        SecretId=world.address.secret,
        VersionStage="AWSCURRENT",
        MoveToVersionId=state.previous,
        RemoveFromVersionId=state.current,
    )
    assert world.state().current == world.state().previous == state.previous


def test_a_way_back_that_was_dropped_leaves_the_displaced_version_to_be_retired(world):
    previous = world.after("confirm").previous
    state = world.take("claim")
    back = reverting(state.journal, "back")
    state = world.store.stage(world.address, back, *credential(world.old))
    world.store.discard(world.address, discarded(state.journal), state.pending)
    assert world.state().previous == previous


def test_after_another_field_changed_between_promotion_and_confirmation_theirs_is_confirmed(world):
    staged = world.after("promote").pending
    change_another_field(world)
    state = world.state()
    assert state.current == state.pending != staged
    assert world.value(state.previous) == world.old
    world.take("claim", world.backend.make())
    confirmed_state = world.take("confirm", world.backend.make())
    assert confirmed_state.journal.confirmed == state.current
    assert (confirmed_state.pending, world.value(confirmed_state.previous)) == (None, world.old)


def test_it_may_change_twice_before_the_confirmation(world):
    world.after("promote")
    change_another_field(world)
    world.take("claim", world.backend.make())
    world.backend.put_text(world.address, world.backend.text(world.address).replace("5433", "5434"))
    assert world.take("confirm", world.backend.make()).journal.confirmed == world.state().current


@pytest.mark.parametrize("text", ['{"username": "x", "password": "other"}', "no document", '{"password": 5}'])
def test_another_value_put_over_the_promoted_one_is_not_taken_for_it(text, world):
    staged = world.after("promote").pending
    world.backend.put_text(world.address, text)
    state = world.state()
    assert (state.pending, state.journal.pending) == (staged, staged)
    assert state.current != staged


def test_a_pending_version_over_which_another_field_changed_can_be_discarded_and_another_one_staged(world):
    pending = world.after("stage").pending
    change_another_field(world)
    state = world.take("claim", world.backend.make())
    assert (state.pending, state.journal.base == state.current) == (pending, False)
    world.take("discard", world.backend.make())
    world.rotate(world.fresh("newer"))
    assert "5433" in world.backend.text(world.address)


# Against the server.


def test_with_the_rights_that_it_names_and_no_other_a_rotation_succeeds(on_moto, moto):  # noqa: F811
    needed = on_moto.make().permissions(SecretAddress(secret="x"))
    actions = [p.action for p in needed if p.action.startswith("secretsmanager:")]
    world = World(on_moto, pair=True)
    world.put(world.old)
    store = on_moto.with_key(moto.new_key(moto_server.allowing(*actions)))
    store.preflight(world.address)
    state = enforce(world, store, world.new)
    store.forget(world.address, replace(state.journal, retire_after=None), state.previous)
    assert world.consume() == world.new


@pytest.mark.parametrize("missing", ["DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"])
def test_without_any_of_those_rights_it_is_denied(missing, on_moto, moto):  # noqa: F811
    needed = on_moto.make().permissions(SecretAddress(secret="x"))
    actions = {p.action for p in needed} - {f"secretsmanager:{missing}"}
    world = World(on_moto, pair=True)
    world.put(world.old)
    store = on_moto.with_key(moto.new_key(moto_server.allowing(*actions)))
    with pytest.raises(DeniedError):
        enforce(world, store, world.new)
    assert world.consume() == world.old


def test_a_wrong_key_is_denied(on_moto, moto):  # noqa: F811
    world = World(on_moto, pair=True)
    world.put(world.old)
    with pytest.raises(DeniedError):
        on_moto.with_key(moto_server.Key(moto.admin.id, "wrong", "")).observe(world.address)


def test_the_block_makes_its_own_client_of_the_credentials_block(prefect_api, on_moto, moto):  # noqa: F811
    from prefect_aws import AwsCredentials

    AwsCredentials(
        aws_access_key_id=moto.admin.id, aws_secret_access_key=moto.admin.secret, region_name=moto_server.REGION
    ).save("moto-store", overwrite=True)
    world = World(on_moto, pair=True)
    world.put(world.old)
    store = AwsSecretsManagerStore(credentials="aws-credentials/moto-store", endpoint_url=moto.url)
    assert store.observe(world.address).journal == Journal()
    assert store._client.meta.config.retries["total_max_attempts"] == 1
    assert store._client.meta.config.read_timeout == 5


def test_a_credentials_block_that_is_not_there_is_told_so(prefect_api):
    store = AwsSecretsManagerStore(credentials="aws-credentials/not-there")
    with pytest.raises(PermanentError, match="aws-credentials/not-there"):
        store.observe(SecretAddress(secret="x"))


@pytest.mark.parametrize("backend", ["simulated", "moto"])
def test_simulator_and_server_answer_a_rotation_alike(backend, request):
    made = SimulatedSecretsManager() if backend == "simulated" else request.getfixturevalue("on_moto")
    world = World(made, pair=True)
    seen = []
    for step in ("claim", "stage", "promote", "confirm", "forget"):
        world.put(world.old) if step == "claim" else None
        world.take(step)
        stages = made.outside.describe_secret(SecretId=world.address.secret)["VersionIdsToStages"]
        seen.append(sorted(sorted(labels) for labels in stages.values() if labels))
    assert seen == [
        [["AWSCURRENT"], ["VIGILES-CLAIM", "VIGILES-JOURNAL"]],
        [["AWSCURRENT"], ["AWSPENDING", "VIGILES-STAGED"], ["VIGILES-CLAIM", "VIGILES-JOURNAL"]],
        [
            ["AWSCURRENT", "AWSPENDING", "VIGILES-STAGED"],
            ["AWSPREVIOUS"],
            ["VIGILES-CLAIM", "VIGILES-JOURNAL"],
        ],
        [["AWSCURRENT", "AWSPENDING", "VIGILES-STAGED"], ["AWSPREVIOUS"], ["VIGILES-CLAIM"], ["VIGILES-JOURNAL"]],
        [["AWSCURRENT", "AWSPENDING", "VIGILES-STAGED"], ["VIGILES-CLAIM"], ["VIGILES-JOURNAL"]],
    ]
