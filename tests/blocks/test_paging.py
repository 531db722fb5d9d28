"""Reading a list to its end while others change it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.estate.paging import overlapping_pages
from rules.errors import TemporaryError


class ShrinkingList:
    """A list from which some rows vanish before each fetch."""

    def __init__(self, size, vanish, page):
        self.rows = [{"id": str(n)} for n in range(size)]
        self.vanish = list(vanish)
        self.page = page

    def fetch(self, offset):
        for row in self.vanish.pop() if self.vanish else ():
            self.rows = [r for r in self.rows if r["id"] != str(row)]
        return self.rows[offset : offset + self.page]


@given(size=st.integers(0, 40), page=st.integers(2, 9), vanish=st.lists(st.sets(st.integers(0, 40)), max_size=8))
def test_every_row_that_stays_is_seen_once(size, page, vanish):
    shrinking = ShrinkingList(size, vanish, page)

    seen = [row["id"] for row in overlapping_pages(shrinking.fetch, "rows", page)]

    assert set(seen) >= {row["id"] for row in shrinking.rows}
    assert len(seen) == len(set(seen))


def test_plain_offsets_would_miss_a_row():
    """The positive control: the same list, read without the overlap."""
    shrinking = ShrinkingList(8, [[0], []], 4)

    seen = [row["id"] for offset in (0, 4) for row in shrinking.fetch(offset)]

    assert "4" not in seen


def test_a_list_that_shifts_for_ever_is_a_temporary_error():
    counter = iter(range(100_000))

    with pytest.raises(TemporaryError, match="kept changing"):
        list(overlapping_pages(lambda _: [{"id": str(next(counter))} for _ in range(3)], "rows", 3))
