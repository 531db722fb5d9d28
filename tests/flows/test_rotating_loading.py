"""Loading what a policy names."""

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from support.prefect_server import free_port

from flows.rotating.loading import Blocks
from rules.errors import TemporaryError


def test_a_server_that_is_away_is_temporary():
    away = {PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}
    with temporary_settings(updates=away), pytest.raises(TemporaryError, match="cannot be loaded now"):
        Blocks().store("env-file-store/local")
