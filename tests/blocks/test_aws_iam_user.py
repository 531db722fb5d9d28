"""Access keys of an IAM user, on moto's server with a layer that is as strict as AWS."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr, ValidationError
from support import moto as moto_server
from support.iam_user import StrictUser
from support.moto import moto  # noqa: F401

from blocks.rotation_targets import aws_iam_user
from blocks.rotation_targets.aws_iam_user import AwsIamUser
from blocks.secret_stores.interface import DeniedError, SecretVersion
from rules.errors import PermanentError, TemporaryError
from rules.rotation import TargetKind


@pytest.fixture
def user(moto, monkeypatch) -> StrictUser:  # noqa: F811
    monkeypatch.setattr(aws_iam_user, "_POLL_SECONDS", 0.01)
    return StrictUser(moto)


@pytest.fixture
def target(user) -> AwsIamUser:
    return user.target()


def version(key):
    return SecretVersion(id="v", username=key.id, password=SecretStr(key.secret))


def test_it_mints_two_credentials_at_the_most(target):
    assert (target.kind, target.capacity, target.next_username("any")) == (TargetKind.MINT, 2, None)


def test_a_minted_key_authenticates_and_the_old_one_goes_on(user, target):
    minted = target.mint()
    assert minted.id == minted.username
    assert target.authenticates(minted)
    assert target.authenticates(version(user.key))
    assert set(user.statuses()) == {user.key.id, minted.username}


def test_a_wrong_secret_is_refused_at_once(user, target):
    assert target.authenticates(version(user.key))
    assert target.authenticates(SecretVersion(id="v", username=user.key.id, password=SecretStr("wrong"))) is False
    assert user.propagation.asked[user.key.id, True] == 2


def test_a_key_that_does_not_exist_is_refused_at_once(user, target):
    assert (
        target.authenticates(SecretVersion(id="v", username="AKIA2222222222222222", password=SecretStr("x"))) is False
    )
    assert sum(user.propagation.asked.values()) == 1


def test_a_new_key_is_waited_for_until_aws_knows_it(user, target):
    user.propagation.accepted_after = 3
    assert target.authenticates(target.mint())


def test_a_new_key_that_aws_does_not_know_in_time_is_no_refusal(user):
    target = user.target(propagation_seconds=1)
    user.propagation.accepted_after = 10_000
    with pytest.raises(TemporaryError, match="everywhere yet"):
        target.authenticates(target.mint())


def test_listing_tells_age_use_and_state_of_each_key(user, target):
    minted = target.mint()
    assert target.authenticates(version(user.key))
    user.iam.update_access_key(UserName=user.name, AccessKeyId=minted.username, Status="Inactive")
    listed = {credential.id: credential for credential in target.credentials()}
    assert set(listed) == {user.key.id, minted.username}
    assert (listed[user.key.id].used, listed[user.key.id].enabled) == (True, True)
    assert (listed[minted.username].used, listed[minted.username].enabled) == (False, False)
    assert all(datetime.now(UTC) - row.created_at < timedelta(minutes=5) for row in listed.values())


def test_a_third_key_is_refused_with_the_remedy(user, target):
    target.mint()
    with pytest.raises(PermanentError, match="two access keys") as caught:
        target.mint()
    assert "Delete" in caught.value.advice
    assert len(user.statuses()) == 2


def test_retiring_only_deactivates_and_proves_it(user, target):
    minted = target.mint()
    target.retire(version(user.key), minted)
    assert user.statuses() == {user.key.id: "Inactive", minted.username: "Active"}
    assert target.authenticates(version(user.key)) is False
    assert target.authenticates(minted)


def test_retiring_waits_until_the_key_is_refused(user, target):
    user.propagation.refused_after = 3
    target.retire(version(user.key), target.mint())
    assert target.authenticates(version(user.key)) is False


def test_a_retired_key_that_is_accepted_for_too_long_is_told(user):
    target = user.target(propagation_seconds=1)
    user.propagation.refused_after = 10_000
    with pytest.raises(TemporaryError, match="does not refuse it everywhere"):
        target.retire(version(user.key), target.mint())
    assert user.statuses()[user.key.id] == "Inactive"


def test_retiring_twice_is_retiring_once(user, target):
    minted = target.mint()
    target.retire(version(user.key), minted)
    target.retire(version(user.key), minted)
    assert user.statuses() == {user.key.id: "Inactive", minted.username: "Active"}


def test_the_key_in_use_is_never_retired(user, target):
    with pytest.raises(PermanentError, match="in use"):
        target.retire(version(user.key), version(user.key))
    assert user.statuses() == {user.key.id: "Active"}


def test_with_an_accepted_outage_the_only_key_is_retired(user, target):
    target.retire(version(user.key), None)
    assert user.statuses() == {user.key.id: "Inactive"}


def test_destroying_deletes_and_may_be_repeated(user, target):
    target.retire(version(user.key), None)
    target.destroy(version(user.key))
    target.destroy(version(user.key))
    assert user.statuses() == {}


def test_revoking_deletes_an_active_key_and_may_be_repeated(user, target):
    minted = target.mint()
    target.revoke(minted.username)
    target.revoke(minted.username)
    assert user.statuses() == {user.key.id: "Active"}


def test_an_emergency_leaves_room_for_another_key(user, target):
    minted = target.mint()
    target.revoke(user.key.id)
    assert target.authenticates(target.mint())
    assert minted.username in user.statuses()


def test_preflight_passes_and_changes_nothing(user, target):
    target.preflight()
    assert user.statuses() == {user.key.id: "Active"}


def test_preflight_names_a_user_that_does_not_exist(user):
    with pytest.raises(PermanentError, match="no IAM user nobody-here"):
        user.target(user_name="nobody-here").preflight()


def test_preflight_refuses_a_key_that_would_disable_itself(user, moto):  # noqa: F811
    own = moto.new_key(moto_server.EVERYTHING)
    with pytest.raises(PermanentError, match="itself"):
        user.target(own, user_name=own.user).preflight()


def test_a_key_of_another_identity_is_not_taken_for_the_users(user, moto):  # noqa: F811
    own = moto.new_key(None)
    target = user.target(user_name=own.user)
    user.name = own.user
    assert target.authenticates(version(own))
    with pytest.raises(PermanentError, match="another identity"):
        user.target(user_name="somebody").authenticates(version(own))


def test_a_secret_without_the_id_of_the_key_is_refused_with_advice(target):
    with pytest.raises(PermanentError) as caught:
        target.authenticates(SecretVersion(id="v", username=None, password=SecretStr("x")))
    assert "keys" in caught.value.advice


def test_a_credential_without_rights_is_denied(user, moto):  # noqa: F811
    target = user.target(moto.new_key(None))
    for call in (target.preflight, target.credentials, target.mint, lambda: target.revoke(user.key.id)):
        with pytest.raises(DeniedError):
            call()
    assert user.statuses() == {user.key.id: "Active"}


def test_with_the_rights_that_it_names_and_no_other_a_rotation_succeeds(user, target, moto):  # noqa: F811
    limited = user.target(moto.new_key(moto_server.allowing(*target.permissions)))
    limited.preflight()
    assert [credential.id for credential in limited.credentials()] == [user.key.id]
    minted = limited.mint()
    assert limited.authenticates(minted)
    limited.retire(version(user.key), minted)
    limited.destroy(version(user.key))
    assert user.statuses() == {minted.username: "Active"}


def test_a_lost_answer_of_a_mint_is_told_and_not_repeated(user, target):
    from botocore.exceptions import ReadTimeoutError

    calls, create = [], target._clients["iam"].create_access_key

    def lost(**given):
        calls.append(create(**given)["AccessKey"])
        raise ReadTimeoutError(endpoint_url="https://iam.amazonaws.com")

    target._clients["iam"].create_access_key = lost
    with pytest.raises(TemporaryError) as caught:
        target.mint()
    assert len(calls) == 1
    assert calls[0]["SecretAccessKey"] not in repr(caught.value.__context__) + str(caught.value)
    assert len(user.statuses()) == 2


def test_its_clients_never_repeat_a_call_by_themselves(prefect_api, user, moto):  # noqa: F811
    from prefect_aws import AwsCredentials

    AwsCredentials(
        aws_access_key_id=moto.admin.id, aws_secret_access_key=moto.admin.secret, region_name=moto_server.REGION
    ).save("moto-iam", overwrite=True)
    target = AwsIamUser(aws_credentials="aws-credentials/moto-iam", user_name=user.name, endpoint_url=moto.url)
    target.preflight()
    assert target.authenticates(version(user.key))
    assert target._client("iam").meta.config.retries["total_max_attempts"] == 1
    assert target._sts_with(user.key.id, SecretStr("x")).meta.config.retries["total_max_attempts"] == 1


def test_credentials_are_named_by_the_slug_of_their_block():
    with pytest.raises(ValidationError, match="aws-credentials/NAME"):
        AwsIamUser(aws_credentials="secret/x", user_name="app")
