"""kill -9 at random moments of rotations in OpenBao, while a consumer uses every secret all the time.

The accounts are PostgreSQL roles that take turns and Redis users with two passwords; every server is real. ``make
proof`` does the same with 200 seeds.
"""

import pytest
from support.prefect_server import running
from support.random_estates import Vault
from support.random_kills import makers_of, run_all, told, trials_with
from support.random_mutants import MUTANTS

pytest_plugins = ["support.openbao", "support.postgres", "support.redis"]
pytestmark = [pytest.mark.server, pytest.mark.postgres, pytest.mark.unmeasured, pytest.mark.timeout(900)]

SEEDS = range(20)
PROCESSES = 2


@pytest.fixture(scope="module")
def server(tmp_path_factory, migrated_database):
    """A Prefect server of our own: other tests need not wait for some hundred runs."""
    with running(tmp_path_factory.mktemp("server"), migrated_database) as started:
        yield started


@pytest.fixture
def trials(server, prefect_api, openbao, postgres, redis_server, tmp_path):
    vault = Vault(openbao)
    with trials_with(server, vault, makers_of(vault, postgres, redis_server), tmp_path, PROCESSES) as running:
        yield running


def test_no_random_kill_is_noticed_by_a_consumer_and_the_next_runs_converge(trials):
    ended = run_all(trials, SEEDS, PROCESSES * 2)
    words = told(ended)
    assert [(trial.seed, trial.kind, trial.failures) for trial in ended if trial.failures] == [], words
    assert {trial.kind for trial in ended} == {"alternating", "dual"}
    # That kills came where they could have hurt, and the consumer was there.
    assert len({point for trial in ended for point in trial.killed}) >= 4, words
    assert sum(len(trial.killed) for trial in ended) >= len(SEEDS), words
    assert min(trial.logins for trial in ended) >= 10, words


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_broken_engine_is_noticed_by_the_consumer(mutant, trials):
    assert trials.broken("alternating", mutant)
    assert trials.broken("dual", mutant)
