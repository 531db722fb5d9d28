"""kill -9 at every write of the store and every call of the target, while a consumer uses the secret all the time.

Each kill has its own estate, policy and limit, so they run in parallel. Most killed runs are reported as crashed, as a
worker does, and are taken over at once; some are not, and are taken over when their lease of 60 s has run out.
"""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest
from support.flow_drivers import Drivers, consumer, stopped_itself
from support.prefect_server import running
from support.rotation_consumer import calls, judge, look, looks, windows, write_down
from support.rotation_kills import prepare, rotate_without_prefect, tell_crashed

pytest_plugins = ["support.postgres"]
pytestmark = [pytest.mark.server, pytest.mark.postgres, pytest.mark.unmeasured, pytest.mark.timeout(1500)]

KINDS = ("generated", "alternating", "single-slot")
AT_LEAST = {"generated": 12, "alternating": 28, "single-slot": 16}
PARALLEL = 3
UNREPORTED_EVERY = 12
LAPSED = 62.0


@pytest.fixture(scope="module")
def server(tmp_path_factory, migrated_database):
    """A Prefect server of our own: other tests need not wait for some hundred runs."""
    with running(tmp_path_factory.mktemp("server"), migrated_database) as started:
        yield started


@pytest.fixture(scope="module")
def drivers(server):
    started = Drivers(server, PARALLEL, "rotation_driver")
    yield started
    started.stop()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("estates")
    (folder / "rehearsals").mkdir()
    (folder / "kills").mkdir()
    return folder


def each(function, items):
    """Call the function for every item, several at a time; threads do not inherit Prefect's settings by themselves."""
    with ThreadPoolExecutor(PARALLEL) as pool:
        started = [pool.submit(copy_context().run, function, item) for item in items]
        return [future.result() for future in started]


def violations(scenario):
    return judge(scenario.kind, looks(scenario.folder), windows(calls(scenario.folder)))


@pytest.fixture
def rehearse(prefect_api, postgres, drivers, root):
    """Run both halves of a rotation without a kill, looking as a consumer at every call; return the scenario."""

    def run(kind, mutant=None):
        scenario = prepare(postgres, root / "rehearsals", kind, f"{kind}-{mutant}", mutant=mutant)
        drivers.run(scenario.job(kill=False, probe=True))
        scenario.first_half = len(calls(scenario.folder)) // 2
        time.sleep(1.1)
        drivers.run(scenario.job(kill=False, probe=True))
        scenario.second_half = len(calls(scenario.folder)) // 2 - scenario.first_half
        return scenario

    return run


@pytest.fixture
def plan_kills(prefect_api, postgres, root, rehearse):
    """Return a prepared scenario for every call of both halves, killed before and after it."""

    def planned(kind):
        rehearsed = rehearse(kind)
        assert violations(rehearsed) == []
        halves = [(1, n) for n in range(1, rehearsed.first_half + 1)]
        halves += [(2, n) for n in range(1, rehearsed.second_half + 1)]
        kills = [(half, number, side) for half, number in halves for side in ("before", "after")]
        return each(lambda kill: prepared(kind, *kill), kills)

    def prepared(kind, half, number, side):
        name = f"{kind}-half{half}-call{number}-{side}"
        scenario = prepare(postgres, root / "kills", kind, name, (number, side), half=half)
        if half == 2:
            rotate_without_prefect(scenario)
        return scenario

    return planned


def kill(drivers, scenario):
    ended = drivers.run(scenario.job(kill=True))
    assert ended["signal"] == 9, (scenario.folder, ended)
    write_down(scenario.folder, look(scenario.folder))


def finish(drivers, scenario):
    for _ in range(3):
        ended = drivers.run(scenario.job(kill=False))
        if not stopped_itself(ended):
            break
    assert ended["signal"] == 0, (scenario.folder, ended)
    assert ended["status"] == "pass", (scenario.folder, ended)


def test_no_kill_is_noticed_by_a_consumer_and_the_next_run_converges(plan_kills, drivers, root):
    scenarios = [scenario for kind in KINDS for scenario in plan_kills(kind)]
    unreported = scenarios[::UNREPORTED_EVERY]
    reported = [s for s in scenarios if s not in unreported]
    with consumer("rotation_consumer", str(root / "kills"), "0.03"):
        each(lambda s: kill(drivers, s), unreported)
        killed = time.monotonic()
        each(lambda s: (kill(drivers, s), tell_crashed(s.folder), finish(drivers, s)), reported)
        time.sleep(max(0.0, LAPSED - (time.monotonic() - killed)))
        each(lambda s: finish(drivers, s), unreported)
        time.sleep(1)
    assert {str(s.folder): violations(s) for s in scenarios if violations(s)} == {}
    assert min(len(looks(s.folder)) for s in scenarios) >= 3
    assert Counter(s.kind for s in scenarios) >= Counter(AT_LEAST)
    assert all(s.estate.consumer_logs_in() for s in scenarios if s.kind != "generated")
    retired = [s.estate for s in scenarios if s.kind != "generated" and s.half == 2]
    assert not any(e.postgres.accepts(e.roles[0], f"first-{e.roles[0]}") for e in retired)


@pytest.mark.parametrize("mutant", ["promote-before-verify", "retire-before-promote"])
def test_a_broken_engine_is_noticed(mutant, rehearse):
    assert violations(rehearse("alternating", mutant))
