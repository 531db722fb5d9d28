"""What a target's calls may take has to fit into what is left of a lease, whatever the block's settings."""

import pytest

from blocks import AwsIamUser, PostgresRole, RedisUser
from flows.exclusion import LEASE_SECONDS, RENEW_SECONDS
from flows.rotating.performing import STORE_SECONDS

ADMIN = {"host": "h", "admin_user": "a", "admin_secret": "secret/x"}
SLOWEST = {
    "iam": lambda: AwsIamUser(aws_credentials="aws-credentials/x", user_name="u", propagation_seconds=60),
    "postgres": lambda: PostgresRole(roles=["r"], connect_timeout=8, **ADMIN),
    "redis": lambda: RedisUser(user="u", connect_timeout=5, **ADMIN),
}


@pytest.mark.parametrize("name", SLOWEST)
def test_a_call_to_the_slowest_target_fits_into_a_lease_that_is_about_to_be_renewed(name):
    assert SLOWEST[name]().call_seconds + STORE_SECONDS < LEASE_SECONDS - RENEW_SECONDS


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_no_setting_is_slower_than_those(name):
    target = SLOWEST[name]()
    with pytest.raises(ValueError, match="less than or equal"):
        type(target)(**target.model_dump() | {"connect_timeout": target.connect_timeout + 1})
