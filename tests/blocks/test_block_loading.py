"""Loading the blocks that other blocks name."""

import pytest
from prefect.blocks.system import Secret
from prefect.settings import PREFECT_API_URL, temporary_settings
from support.prefect_server import free_port

from blocks.block_loading import load_block
from blocks.rotation_targets.admin_secret import load_password
from blocks.secret_stores.aws import aws_session
from blocks.secret_stores.gcp import gcp_secrets
from rules.errors import PermanentError, TemporaryError

LOADERS = {
    "aws-credentials/absent": lambda slug: aws_session.make_client("ssm", slug, "eu-central-1", None),
    "gcp-credentials/absent": lambda slug: gcp_secrets.make_client(slug, None),
    "secret/absent": load_password,
}


@pytest.mark.parametrize("slug", LOADERS)
def test_a_prefect_server_that_does_not_answer_is_temporary_for_every_block(slug):
    away = {PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}
    with temporary_settings(updates=away), pytest.raises(TemporaryError, match=slug) as caught:
        LOADERS[slug](slug)
    assert caught.value.advice == "Check that Prefect's server runs and can be reached."
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize("slug", LOADERS)
def test_a_block_that_is_not_there_is_named(slug, prefect_api):
    with pytest.raises(PermanentError, match=slug) as caught:
        LOADERS[slug](slug)
    assert "Save" in caught.value.advice
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_a_block_of_another_kind_is_named_and_not_shown(prefect_api):
    from prefect_aws import AwsCredentials

    Secret(value="s3cret-canary").save("of-another-kind", overwrite=True)
    assert load_block("secret/of-another-kind", Secret, "").value.get_secret_value() == "s3cret-canary"
    with pytest.raises(PermanentError, match="secret/of-another-kind is no AwsCredentials") as caught:
        load_block("secret/of-another-kind", AwsCredentials, "Save one.")
    assert "canary" not in str(caught.value)
