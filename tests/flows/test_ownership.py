"""Two policies that rotate the same secret or the same account are refused before either is published."""

import uuid

import pytest

from blocks.policies.loader import load_policies
from flows.publish import check_policies, publish_policies
from rules.errors import BadInputError

pytestmark = pytest.mark.server


@pytest.fixture
def estate(prefect_api):
    """A store and two targets that only this test has."""
    from blocks.rotation_targets.postgres_role import PostgresRole
    from blocks.secret_stores.vault_kv import VaultKvStore

    name = f"own-{uuid.uuid4().hex[:8]}"
    VaultKvStore(address="https://vault.example", authentication="token", token="t").save(name)
    for target in (name, f"{name}-b"):
        PostgresRole(host="h", roles=["a", "b"], admin_user="x", admin_secret="secret/y").save(target)
    return name


def policy(folder, estate, name, path, target):
    entry = f"{{name: s, store: vault-kv-store/{estate}, path: {path}, keys: {{username: u, password: p}}, "
    head = f"kind: RotationPolicy\nversion: 1\nname: {estate}-{name}\nsecrets:\n"
    text = f"{head}  - {entry}every: 30d, target: {target}}}\n"
    (folder / f"{name}.yaml").write_text(text)
    return load_policies([folder])


def test_a_secret_of_two_policies_is_refused(estate, tmp_path):
    policy(tmp_path, estate, "one", "app/db", f"postgres-role/{estate}")
    loaded = policy(tmp_path, estate, "two", "app/db/", f"postgres-role/{estate}-b")
    with pytest.raises(BadInputError, match=f"policy {estate}-one changes app/db in vault-kv-store/{estate} too"):
        check_policies(loaded)


def test_a_target_that_a_published_policy_has_is_refused(estate, tmp_path):
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    publish_policies(policy(tmp_path / "first", estate, "one", "app/db", f"postgres-role/{estate}"))
    with pytest.raises(BadInputError, match=f"changes target postgres-role/{estate} too"):
        publish_policies(policy(tmp_path / "second", estate, "two", "app/other", f"postgres-role/{estate}"))


def test_a_policy_does_not_clash_with_its_own_published_copy(estate, tmp_path):
    loaded = policy(tmp_path, estate, "one", "app/db", f"postgres-role/{estate}")
    publish_policies(loaded)
    publish_policies(loaded)


def test_policies_that_share_nothing_are_published(estate, tmp_path):
    policy(tmp_path, estate, "one", "app/db", f"postgres-role/{estate}")
    assert len(publish_policies(policy(tmp_path, estate, "two", "app/x", f"postgres-role/{estate}-b"))) == 2
