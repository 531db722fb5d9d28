"""The loader on the four real kinds: the documents of the design load, and their mistakes are told in place."""

import pytest

from blocks.policies.kinds import KINDS
from blocks.policies.known_keys import known_keys
from blocks.policies.loader import load_policies

ROTATION = """\
kind: RotationPolicy          # which secrets, how often, for whom
version: 1
name: production
max_changes: 20
secrets:
  - {name: api-token, store: env-file-store/local, key: API_TOKEN, every: 30d}          # generated, no target
  - {name: warehouse, store: env-file-store/local, keys: {username: WAREHOUSE_USER, password: WAREHOUSE_PASSWORD},
     target: postgres-role/warehouse, every: 30d, window: "Sun 02:00-06:00 Europe/Rome", grace: 24h}
"""
PLACEMENT = """\
kind: PlacementPolicy         # what is true of pools, what deployments require
version: 1
name: production
vocabulary: {environment: [production, staging], security: [high, standard], gpu: ["true", "false"]}
pools:
  - {name: high-security, id: 0d3cae1c-3b9c-4a7e-9d6e-1f0c8f3f2a11, labels: {security: high, environment: production},
     accepts: "security=high", overridable: [image]}
constraints:
  - {name: high-security-flows, deployments: {tags: ["security:high"]},
     require: "security=high,environment in (production)", mode: enforce}
exceptions:
  - {rule: pool-mismatch, subject: "nightly/*", owner: platform, reason: "moving in March", expires: "2027-03-31"}
"""
RETENTION = """\
kind: RetentionPolicy         # how long what is kept, what is held
version: 1
name: production
stores:
  - {block: local-file-system/results, exclusive: true}      # or {block: default}
rules:
  - {name: personal-data, match: {tags: [pii]}, results: 7d, artifacts: 30d, runs: 90d, keep_last: 5}
holds:
  - {match: {flows: [close-the-books]}, owner: finance, reason: "audit 2026", expires: "2027-06-30"}
limits: {objects: 10000, percent: 20}
grace: 1h
"""
ACCESS = """\
kind: AccessPolicy            # who may do what
version: 1
name: production
directory: prefect-server-directory/self-hosted
"""
DOCUMENTS = {
    "RotationPolicy": ROTATION,
    "PlacementPolicy": PLACEMENT,
    "RetentionPolicy": RETENTION,
    "AccessPolicy": ACCESS,
}


def told(tmp_path, text):
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    return [str(problem).removeprefix(f"{path}:") for problem in load_policies([path]).problems]


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_the_document_of_the_design_loads(kind, tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(DOCUMENTS[kind])

    loaded = load_policies([path])

    assert loaded.problems == ()
    assert type(loaded.policies[0].policy) is KINDS[kind]()


@pytest.mark.parametrize(
    ("document", "old", "new", "code", "blamed"),
    [
        (PLACEMENT, "labels: {security:", f"labels: {{{'a' * 64}:", "P054", "a: high"),
        (PLACEMENT, "security: high,", f"security: {'a' * 64},", "P055", "a, environment"),
        (PLACEMENT, "security: high,", 'security: "high up",', "P055", " up"),
        (PLACEMENT, '"security=high",', '"",', "P056", '""'),
        (PLACEMENT, '"security=high",', '"security=high,security=standard",', "P057", "security=standard"),
        (PLACEMENT, '"security=high",', '"security in (high",', "P058", '(high"'),
        (PLACEMENT, '"security=high",', '"prefect.worker.name=x",', "P059", '"prefect.worker'),
        (PLACEMENT, "mode: enforce", "mode: dryrun", "P046", "dryrun"),
        (PLACEMENT, "id: 0d3cae1c", "id: 0d3c", "P044", "0d3c-"),
        (PLACEMENT, ', expires: "2027-03-31"', "", "P070", "{rule:"),
        (RETENTION, "tags: [pii]", "deployments: [nightly]", "P061", "nightly]"),
        (RETENTION, "match: {tags: [pii]}", "match: {}", "P056", "{}"),
        (RETENTION, "results: 7d", "results: 7 days", "P072", "7 days"),
        (RETENTION, "objects: 10000", "objects: 0", "P047", "0, percent"),
        (ROTATION, "Europe/Rome", "Europe/Roma", "P073", '"Sun'),
        (ROTATION, "store: env-file-store/local, key:", "sotre: env-file-store/local, key:", "P040", "{name: api"),
        (ACCESS, "self-hosted", "Self Hosted", "P044", "prefect-server-directory"),
    ],
)
def test_a_mistake_is_told_in_its_place(document, old, new, code, blamed, tmp_path):
    text = document.replace(old, new)
    before, found, _ = text.partition(blamed)

    assert found
    place = f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
    assert told(tmp_path, text)[0].startswith(f"{place}: {code} ")


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_every_key_is_known_to_the_hints(kind):
    keys = known_keys(KINDS[kind](), ())

    assert {"kind", "version", "name", "exceptions"} <= set(keys)
    assert "digest" not in keys
    assert known_keys(KINDS[kind](), ("exceptions", 0)) == ["expires", "owner", "reason", "rule", "subject"]
    assert known_keys(KINDS[kind](), ("nowhere", 0, "deeper")) == []
