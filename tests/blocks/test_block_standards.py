"""Prefect's own standard for blocks, applied to every block that Vigiles registers."""

import importlib.metadata
import inspect

import pytest
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from prefect.utilities.dispatch import get_registry_for_type

import blocks

EXPORTED = sorted(
    (b for b in get_registry_for_type(Block).values() if b.__module__.startswith(f"{blocks.__name__}.")),
    key=lambda block: block.__name__,
)


class TestEveryBlock(BlockStandardTestSuite):
    # The logo is Prefect's own, of its Secret block; the suite would fetch it, and tests do not reach the network.
    test_has_a_valid_image = None

    @pytest.fixture(params=EXPORTED, ids=lambda block: block.__name__)
    def block(self, request):
        return request.param


def test_the_blocks_are_those_that_policies_and_flows_need():
    assert {block.get_block_type_slug() for block in EXPORTED} == {
        "access-policy",
        "aws-iam-user",
        "aws-parameter-store",
        "aws-secrets-manager-store",
        "azure-key-vault-store",
        "env-file-store",
        "gcp-secret-manager-store",
        "placement-policy",
        "postgres-role",
        "prefect-secret-store",
        "prefect-server-directory",
        "redis-user",
        "retention-policy",
        "rotation-policy",
        "vault-kv-store",
    }


@pytest.mark.parametrize("block", EXPORTED, ids=lambda block: block.__name__)
def test_every_block_is_concrete_and_has_a_required_field(block):
    """Without a required field Prefect's ``$ref`` does not tell the block from an empty mapping."""
    assert not inspect.isabstract(block)
    assert any(field.is_required() for field in block.model_fields.values())


def test_prefect_finds_the_blocks_through_the_entry_point():
    entry_points = importlib.metadata.entry_points(group="prefect.collections")

    assert [e.value for e in entry_points if e.name == "vigiles"] == ["blocks"]
