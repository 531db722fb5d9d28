"""Reading a list of which the server cannot show some row: everything else is read, and the row is named.

One row that the server cannot put into JSON (a flow run with a label set to null, for one) makes it answer 500 to every
list that holds the row. Halving the page finds the row; it is left out and reported.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from prefect.client.orchestration import SyncPrefectClient

from blocks.estate.paging import PAGE, Row, overlapping_pages, read_page
from rules.errors import PermanentError, TemporaryError

MOST_HOLES = 20
"""More rows than this that cannot be read, and the list counts as unreadable."""


@dataclass(frozen=True, slots=True)
class Hole:
    """One row that the server cannot show.

    Attributes:
        offset: its place in the list, from 0.
        id: its id, or None where that could not be found out.
    """

    offset: int
    id: str | None


def read_around(
    client: SyncPrefectClient, path: str, body: Mapping[str, Any], ids: str | None = None
) -> tuple[list[Row], list[Hole]]:
    """Return every row that ``POST path`` can list, and the rows that it cannot.

    Args:
        client: a client of the server to ask.
        path: such as ``/flow_runs/filter``.
        body: the filter, with a stable ``sort``; ``limit`` and ``offset`` are added.
        ids: another path that lists the ids alone, in the same order and by the same filter.

    Raises:
        TemporaryError: if the server does not answer, or too many rows cannot be read.
        PermanentError: if it refuses the request.
    """
    holes: dict[str, Hole] = {}

    def window(offset: int, limit: int) -> list[Row]:
        asked = {**body, "offset": offset}
        try:
            return read_page(client, path, {**asked, "limit": limit})
        except TemporaryError:
            if limit == PAGE:
                # Asked for no rows, a server that is well answers: the fault is in a row, and worth looking for.
                read_page(client, path, {**asked, "limit": 0})
            if limit == 1:
                return [_hole(client, ids, asked, holes)]
            return _halves(window, offset, limit)

    rows = list(overlapping_pages(lambda offset: window(offset, PAGE), path))
    return [row for row in rows if row["id"] not in holes], list(holes.values())


def _halves(window: Callable[[int, int], list[Row]], offset: int, limit: int) -> list[Row]:
    half = limit // 2
    left = window(offset, half)
    return left if len(left) < half else left + window(offset + half, limit - half)


def _hole(client: SyncPrefectClient, ids: str | None, asked: Mapping[str, Any], holes: dict[str, Hole]) -> Row:
    found = None
    with contextlib.suppress(TemporaryError, PermanentError, LookupError):
        found = str(read_page(client, ids, {**asked, "limit": 1})[0]["id"]) if ids else None
    stand_in = found or f"offset {asked['offset']}"
    holes[stand_in] = Hole(asked["offset"], found)
    if len(holes) > MOST_HOLES:
        raise TemporaryError(f"More than {MOST_HOLES} rows of a list cannot be read.", "Look at the server's log.")
    return {"id": stand_in}
