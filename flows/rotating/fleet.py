"""Many secrets at a time, as many as each store bears: additive increase, multiplicative decrease, and its quota.

Each store has a pace of its own, so that one that is slow or throttles delays nobody else.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from typing import TypeVar

from blocks.secret_stores.interface import Quota

MOST = 32
"""Secrets of one store that are worked on at a time, at the most."""

_CALM_SECONDS = 1.0

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Pace:
    """How many secrets of one store are worked on at a time, and how soon after one another they begin.

    Every success lets one more in after as many successes as there are places; a throttled call halves the places, once
    a second at the most, as all that were under way then are told the same. (Chiu and Jain, 1989.)
    """

    def __init__(self, quota: Quota, *, writing: bool = True) -> None:
        self._places = float(max(1, min(quota.concurrency, MOST)))
        self._busy = 0
        self._room = threading.Condition()
        self._halved_at = -_CALM_SECONDS
        self._next_start = 0.0
        rate = quota.writes_per_second if writing else None
        self._apart = quota.writes / rate if rate else 0.0

    @property
    def places(self) -> int:
        """Secrets that may be worked on at a time now."""
        return int(self._places)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one place while in the context, waiting for it if need be."""
        with self._room:
            self._room.wait_for(lambda: self._busy < self.places)
            self._busy += 1
            wait = self._next_start - time.monotonic()
            self._next_start = max(self._next_start, time.monotonic()) + self._apart
        if wait > 0:
            time.sleep(wait)
        before = self._halved_at
        try:
            yield
        finally:
            with self._room:
                self._busy -= 1
                if before == self._halved_at:
                    self._places = min(float(MOST), self._places + 1 / self._places)
                self._room.notify_all()

    def throttled(self) -> None:
        """Halve the places: the store asked for fewer calls."""
        with self._room:
            now = time.monotonic()
            if now - self._halved_at >= _CALM_SECONDS:
                self._places = max(1.0, self._places / 2)
                self._halved_at = now


def each(
    items: Sequence[_Item], store: Callable[[_Item], str], paces: dict[str, Pace], work: Callable[[_Item], _Result]
) -> list[_Result]:
    """Do the work for every item, several at a time, and return the results in the order of the items.

    Args:
        items: what to work on; those of one store begin in this order.
        store: the store of an item.
        paces: the pace of each store.
        work: does the work; what it raises ends all, so it should turn failures into results.
    """
    results: dict[int, _Result] = {}
    waiting: dict[str, deque[tuple[int, _Item]]] = {}
    for index, item in enumerate(items):
        waiting.setdefault(store(item), deque()).append((index, item))

    def next_one(name: str) -> None:
        # The place comes first: whoever waited for one takes what is most urgent then.
        with paces[name].place():
            index, item = waiting[name].popleft()
            results[index] = work(item)

    with ExitStack() as stack:
        futures: list[Future[None]] = []
        for name, queue in waiting.items():
            pool = stack.enter_context(ThreadPoolExecutor(min(MOST, len(queue)), thread_name_prefix="vigiles-rotate"))
            # Threads do not inherit Prefect's settings by themselves.
            futures += [pool.submit(copy_context().run, next_one, name) for _ in range(len(queue))]
        for future in futures:
            future.result()
    return [results[index] for index in range(len(items))]
