"""Many secrets at a time: as many as a store bears, in order, and none delayed by another store."""

import threading
import time
from contextlib import ExitStack

import pytest

from blocks.secret_stores.interface import Quota
from flows.rotating.fleet import MOST, Pace, each

WIDE = Quota("none", None, writes=1, concurrency=8)


class Watched:
    """Counts how many are at work at a time."""

    def __init__(self, seconds=0.005):
        self.seconds = seconds
        self.now = self.most = 0
        self.order = []
        self.lock = threading.Lock()

    def __call__(self, item):
        with self.lock:
            self.order.append(item)
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(self.seconds)
        with self.lock:
            self.now -= 1
        return item * 2


def run(items, pace, work):
    return each(items, lambda _: "s", {"s": pace}, work)


def test_results_stand_in_the_order_of_the_items():
    assert run(range(50), Pace(WIDE), Watched(0)) == [n * 2 for n in range(50)]


def test_they_begin_in_their_order():
    work = Watched(0.01)
    run(range(20), Pace(Quota("none", None, writes=1, concurrency=1)), work)
    assert work.order[:5] == [0, 1, 2, 3, 4]


def test_no_more_are_at_work_than_there_are_places():
    work, pace = Watched(0.01), Pace(WIDE)
    with ExitStack() as held:
        for _ in range(6):
            held.enter_context(pace.place())
        run(range(12), pace, work)
    assert work.most <= 4


def test_places_never_exceed_what_one_store_gets():
    pace = Pace(Quota("none", None, writes=1, concurrency=10_000))
    run(range(200), pace, Watched(0))
    assert pace.places == MOST


def test_success_gives_more_places():
    pace = Pace(WIDE)
    run(range(100), pace, Watched(0))
    assert pace.places > WIDE.concurrency


def test_a_throttled_call_halves_the_places_once_a_second():
    pace = Pace(WIDE)
    for _ in range(5):
        pace.throttled()
    assert pace.places == 4


def test_throttling_never_stops_all_work(monkeypatch):
    pace, clock = Pace(WIDE), iter(range(1000, 2000, 2))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    for _ in range(20):
        pace.throttled()
    assert pace.places == 1


def test_a_quota_of_writes_keeps_rotations_apart():
    pace = Pace(Quota("50 writes a second", 50.0, writes=5, concurrency=8))
    began = time.monotonic()
    run(range(4), pace, Watched(0))
    assert time.monotonic() - began >= 3 * 5 / 50


def test_looking_does_not_use_up_the_quota_of_writes():
    pace = Pace(Quota("1 write a minute", 1 / 60, writes=5, concurrency=8), writing=False)
    assert run(range(50), pace, Watched(0)) == [n * 2 for n in range(50)]


def test_a_slow_store_delays_no_other():
    paces = {"slow": Pace(Quota("none", None, writes=1, concurrency=1)), "fast": Pace(WIDE)}
    ended = {}

    def work(item):
        store, _ = item
        time.sleep(0.2 if store == "slow" else 0)
        ended[item] = time.monotonic()

    items = [("slow", n) for n in range(3)] + [("fast", n) for n in range(20)]
    each(items, lambda item: item[0], paces, work)
    assert max(at for (store, _), at in ended.items() if store == "fast") < ended["slow", 1]


def test_what_the_work_raises_is_raised():
    with pytest.raises(ZeroDivisionError):
        run([1, 0], Pace(WIDE), lambda n: 1 / n)
