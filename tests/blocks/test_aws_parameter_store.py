"""What is particular to the Parameter Store; what it shares with every store is in the contract suite."""

import subprocess
import sys

import pytest
from pydantic import ValidationError
from support.moto import allowing, moto  # noqa: F401
from support.parameter_store_simulator import ParameterStoreSimulator
from support.stores.aws_parameter_store import ParameterStoreBackend, Simulated, over
from support.stores.interface import intercept
from support.stores.world import World

from blocks.secret_stores.aws import aws_session
from blocks.secret_stores.aws_parameter_store import AwsParameterStore
from blocks.secret_stores.interface import ConflictError, DeniedError, SupersededError, ThrottledError
from rules.errors import PermanentError, TemporaryError

STEPS = ("claim", "stage", "promote", "confirm", "forget")


@pytest.fixture
def simulator():
    return ParameterStoreSimulator()


@pytest.fixture
def world(simulator):
    return World(Simulated(simulator.client(), simulator.client(allowed=False)), pair=True)


def client(world):
    return world.backend._client


def before_call(world, start, act):
    """Return a block that calls ``act`` once, just before the first call whose name begins so."""
    left = [act]

    def passing(operation, request):
        if left and operation.startswith(start):
            left.pop()()
        return request()

    return intercept(world.backend.make(), passing)


def test_importing_the_store_imports_no_sdk():
    code = "import sys, blocks.secret_stores.aws_parameter_store; print({'boto3', 'prefect_aws'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("slug", ["", "aws-credentials/", "secret/key", "aws-credentials"])
def test_credentials_are_named_by_the_slug_of_their_block(slug):
    with pytest.raises(ValidationError, match="aws-credentials/NAME"):
        AwsParameterStore(credentials=slug)


def test_who_reads_secrets_by_path_gets_no_record(world, simulator):
    world.after("stage")
    read = simulator.client().get_paginator("get_parameters_by_path")
    pages = read.paginate(Path="/apps", Recursive=True, WithDecryption=True)
    texts = [row["Value"] for page in pages for row in page["Parameters"]]
    assert world.old[1] in str(texts)
    assert world.new[1] not in str(texts)


def test_the_last_two_states_of_the_record_are_kept(world, simulator):
    for _ in range(3):
        world.rotate(world.fresh("next"))
    records = [name for name in simulator.parameters if name.startswith(f"/vigiles{world.address.secret}/")]
    assert len(records) == 2


def test_a_record_is_encrypted_with_the_key_of_the_block(world, simulator):
    world.put(world.old)
    world.take("claim", over(client(world), key_id="alias/of-the-block"))
    [record] = [row for name, row in simulator.parameters.items() if name.startswith("/vigiles/")]
    assert (record.kind, record.key) == ("SecureString", "alias/of-the-block")


def test_an_advanced_parameter_stays_one_and_may_be_larger_than_a_standard_one(simulator):
    world = World(Simulated(simulator.client(), None), pair=True)
    text = '{"username": "u", "password": "p", "more": "' + "m" * 6000 + '"}'
    fields = {"Type": "SecureString", "Tier": "Advanced", "KeyId": "alias/of-the-team"}
    client(world).put_parameter(Name=world.address.secret, Value=text, **fields)
    world.rotate(world.new)
    parameter = simulator.parameters[world.address.secret]
    assert (parameter.tier, parameter.key, world.consume()) == ("Advanced", "alias/of-the-team", world.new)


@pytest.mark.parametrize(
    ("fields", "told"), [({}, "tier"), ({"AllowedPattern": "^.{1,4000}$"}, "AllowedPattern")], ids=["tier", "pattern"]
)
def test_what_the_parameter_would_refuse_is_refused_when_it_is_staged(fields, told, world):
    tier = {"Tier": "Advanced"} if fields else {"Tier": "Standard"}
    text = '{"username": "u", "password": "p", "more": "' + "m" * 3900 + '"}'
    client(world).put_parameter(Name=world.address.secret, Value=text, Type="SecureString", **tier, **fields)
    world.take("claim")
    before = world.state()
    with pytest.raises(PermanentError, match=told):
        world.stage(("u", "x" * 200))
    assert (world.state(), world.backend.text(world.address)) == (before, text)


def test_a_pattern_of_another_dialect_is_left_to_the_service(world, monkeypatch):
    world.put(world.old)
    parameters = {"Parameters": [{"Type": "SecureString", "Tier": "Standard", "AllowedPattern": r"^\p{Alpha"}]}
    monkeypatch.setattr(client(world), "describe_parameters", lambda **_: parameters)
    world.take("claim")
    assert world.take("stage").pending


def test_a_list_is_no_secret(world):
    client(world).put_parameter(Name=world.address.secret, Value="a,b", Type="StringList")
    with pytest.raises(PermanentError, match="StringList"):
        world.store.observe(world.address)


@pytest.mark.parametrize("name", ["", "/vigiles/prod/db", "arn:aws:ssm:eu-central-1:123456789012:parameter/db", "db:3"])
def test_a_name_that_cannot_be_a_secrets_is_refused(name, world):
    with pytest.raises(PermanentError, match="cannot be a parameter"):
        world.store.preflight(type(world.address)(secret=name))


def test_a_write_at_the_same_moment_is_noticed_and_told(world):
    world.after("stage")
    store = before_call(world, f"PutParameter {world.address.secret}", lambda: world.put(world.fresh("other")))
    with pytest.raises(ConflictError, match="same moment"):
        world.take("promote", store)


def test_a_creation_at_the_same_moment_is_not_overwritten(world):
    world.take("claim")
    world.take("stage")
    other = world.fresh("other")
    store = before_call(world, f"PutParameter {world.address.secret}", lambda: world.put(other))
    with pytest.raises(ConflictError):
        world.take("promote", store)
    assert world.consume() == other


def test_a_run_that_slept_while_its_state_was_replaced_and_deleted_is_superseded(world):
    world.before("stage")

    def others():
        for step in ("claim", "stage", "promote", "confirm"):
            world.take(step)

    store = before_call(world, "PutParameter /vigiles", others)
    with pytest.raises(SupersededError):
        world.take("stage", store)
    assert world.consume() == world.new


def test_a_promotion_writes_nothing_for_a_run_that_was_superseded_since_it_read(world):
    world.after("stage")
    store = before_call(world, "PutParameter /vigiles", lambda: world.take("claim"))
    with pytest.raises(SupersededError):
        world.take("promote", store)
    assert world.consume() == world.old


@pytest.mark.parametrize("versions", [99, 100])
def test_a_label_on_the_oldest_version_is_found_before_it_is_in_the_way(versions, world):
    for number in range(versions):
        world.put((world.old[0], f"value-{number}"))
    client(world).label_parameter_version(Name=world.address.secret, ParameterVersion=1, Labels=["production"])
    if versions < 100:
        world.store.preflight(world.address)
        return
    with pytest.raises(PermanentError, match="label"):
        world.store.preflight(world.address)
    world.take("claim")
    world.take("stage")
    with pytest.raises(PermanentError, match=f"{world.address.secret} has a label"):
        world.take("promote")


def test_old_versions_without_labels_make_room(world):
    for number in range(101):
        world.put((world.old[0], f"value-{number}"))
    world.store.preflight(world.address)
    world.rotate(world.new)
    assert world.consume() == world.new


def test_a_record_that_somebody_wrote_is_refused_and_named(world):
    world.put(world.old)
    name = f"/vigiles{world.address.secret}/000000000007"
    client(world).put_parameter(Name=name, Value='{"version": 9}', Type="SecureString")
    with pytest.raises(PermanentError, match=name):
        world.store.observe(world.address)


def test_what_else_lies_below_the_record_is_passed_over(world):
    before = world.after("stage")
    client(world).put_parameter(Name=f"/vigiles{world.address.secret}/notes", Value="hello", Type="String")
    assert world.state() == before


CODES = {
    "ThrottlingException": ThrottledError,
    "TooManyUpdates": ThrottledError,
    "AccessDeniedException": DeniedError,
    "ExpiredTokenException": DeniedError,
    "InternalServerError": TemporaryError,
    "InvalidKeyId": PermanentError,
    "ParameterLimitExceeded": PermanentError,
    "HierarchyLevelLimitExceededException": PermanentError,
}


@pytest.mark.parametrize("code", CODES)
def test_each_code_becomes_an_error_of_ours_without_its_text(code, world):
    from botocore.exceptions import ClientError

    error = ClientError({"Error": {"Code": code, "Message": "canary"}}, "PutParameter")
    told = world.store._translated("PutParameter /prod/db", error)
    assert type(told) is CODES[code]
    assert told.advice
    assert "canary" not in str(told)


def test_an_error_without_a_code_is_told_apart():
    from botocore import exceptions

    lost = exceptions.ConnectTimeoutError(endpoint_url="x")
    assert type(aws_session.translated("GetParameter x", lost)) is TemporaryError
    assert type(aws_session.translated("GetParameter x", exceptions.NoCredentialsError())) is DeniedError
    wrong = exceptions.ParamValidationError(report="canary")
    assert type(aws_session.translated("GetParameter x", wrong)) is PermanentError


def rotate(world, store):
    for step in STEPS:
        world.take(step, store)


def of_moto(server, actions):
    """Return a world on moto whose store has a key with just these rights."""
    backend = ParameterStoreBackend(server.client("ssm"), None)
    world = World(backend, pair=True)
    world.put(world.old)
    store = over(server.client("ssm", server.new_key(allowing(*actions))))
    return world, store


NEEDED = [
    "ssm:DeleteParameters",
    "ssm:DescribeParameters",
    "ssm:GetParameter",
    "ssm:GetParametersByPath",
    "ssm:PutParameter",
]


def test_the_rights_that_are_named_are_enough(moto):  # noqa: F811
    world, store = of_moto(moto, NEEDED)
    rotate(world, store)
    assert world.consume() == world.new
    named = {row.action for row in store.permissions(world.address) if row.action.startswith("ssm:")}
    assert named == {*NEEDED, "ssm:GetParameterHistory"}


@pytest.mark.parametrize("missing", NEEDED)
def test_each_right_that_is_named_is_needed(missing, moto):  # noqa: F811
    world, store = of_moto(moto, [action for action in NEEDED if action != missing])
    with pytest.raises(DeniedError) as caught:
        rotate(world, store)
    assert missing.removeprefix("ssm:") in str(caught.value)


def test_the_client_is_made_from_a_credentials_block(moto, prefect_api):  # noqa: F811
    from prefect_aws import AwsCredentials

    world, _ = of_moto(moto, NEEDED)
    key = {"aws_access_key_id": moto.admin.id, "aws_secret_access_key": moto.admin.secret}
    AwsCredentials(region_name="eu-central-1", **key).save("for-parameters", overwrite=True)
    store = AwsParameterStore(credentials="aws-credentials/for-parameters", endpoint_url=moto.url)
    rotate(world, store)
    config = store._client.meta.config
    assert (world.consume(), config.retries["total_max_attempts"], config.read_timeout) == (world.new, 1, 5)


def test_a_credentials_block_that_is_missing_is_named(prefect_api):
    store = AwsParameterStore(credentials="aws-credentials/missing")
    with pytest.raises(PermanentError, match="aws-credentials/missing"):
        store.observe(World(Simulated(None, None), pair=True).address)
