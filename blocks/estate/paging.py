"""Reading a list from Prefect's API to its end, without missing a row because another was deleted meanwhile."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import PrefectHTTPStatusError

from rules.errors import PermanentError, TemporaryError

PAGE = 200
"""The most rows that the server returns at once (``PREFECT_SERVER_API_DEFAULT_LIMIT``)."""

STEPS_BACK = 50
"""How often a list may shift under the reader before it gives up."""

Row = Mapping[str, Any]


def read_all(client: SyncPrefectClient, path: str, body: Mapping[str, Any] | None = None) -> Iterator[Row]:
    """Yield every row that ``POST path`` lists, as decoded JSON.

    Args:
        client: a client of the server to ask.
        path: such as ``/flow_runs/filter``.
        body: the filter; ``limit`` and ``offset`` are added. Give a stable ``sort``.

    Raises:
        TemporaryError: if the server does not answer, or the list keeps changing under the reader.
        PermanentError: if the server refuses the request.
    """

    def fetch(offset: int) -> list[Row]:
        return read_page(client, path, {**(body or {}), "limit": PAGE, "offset": offset})

    yield from overlapping_pages(fetch, path)


def read_page(client: SyncPrefectClient, path: str, body: Mapping[str, Any]) -> list[Row]:
    """Return the one page that ``POST path`` lists.

    Raises:
        TemporaryError: if the server does not answer, or answers no list: an empty mapping is not an empty list.
        PermanentError: if the server refuses the request.
    """
    rows = request(client, "POST", path, body)
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        problem = f"Prefect's API answered POST {path} with something other than a list."
        raise TemporaryError(problem, "Check what stands between this client and the server.")
    return rows


def overlapping_pages(fetch: Callable[[int], list[Row]], name: str, page: int = PAGE) -> Iterator[Row]:
    """Yield the rows of all pages, each page beginning with a row that was seen already.

    With plain offsets a row deleted from an earlier page shifts the rest, and one row is never seen. Here a page whose
    first row is new shows such a shift; reading then steps back, so that every row that stays is seen at least once.

    Args:
        fetch: returns the page of rows that begins at an offset, in a stable order.
        name: what is being read, for the error.
        page: rows in a full page.

    Raises:
        TemporaryError: if the list shifts at every attempt.
    """
    offset, steps_back, seen = 0, 0, set[str]()
    while True:
        rows = fetch(offset)
        if offset and (not rows or rows[0]["id"] not in seen):
            steps_back += 1
            if steps_back > STEPS_BACK:
                raise TemporaryError(
                    f"The list {name} kept changing while it was read.", "Run again at a quieter time."
                )
            offset = max(0, offset - (page - 1))
            continue
        fresh = [row for row in rows if row["id"] not in seen]
        seen.update(row["id"] for row in fresh)
        yield from fresh
        if len(rows) < page:
            return
        offset += page - 1


def request(client: SyncPrefectClient, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
    """Return the decoded answer to one request.

    Prefect's client already retries 408, 429, 502 and 503; what it gives up on is raised in our own two families.

    Raises:
        TemporaryError: if the server cannot be reached, answers 5xx, or answers what is not JSON.
        PermanentError: if it answers 4xx. The answer's text is left out: it may echo the request.
    """
    try:
        answer = client.request(method, path, json=body)  # type: ignore[arg-type]
        return answer.json() if answer.content else None
    except (PrefectHTTPStatusError, httpx.HTTPStatusError) as error:
        status = error.response.status_code
        message = f"Prefect's API answered {status} to {method} {path}."
        if status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise TemporaryError(message, "Look at the server's log, then run again.") from None
        raise PermanentError(message, "Check the credentials and the versions of client and server.") from None
    except (httpx.HTTPError, OSError, ValueError) as error:
        problem = f"Prefect's API did not answer {method} {path} properly ({type(error).__name__})."
        raise TemporaryError(problem, "Check that the server runs and can be reached.") from None
