"""Which Prefect server a command talks to: always said, and never one that nobody asked for."""

import contextlib
import io
from typing import Any, Protocol, runtime_checkable
from urllib.parse import urlsplit, urlunsplit

from flows.cli.console import say
from rules.errors import BadInputError, PermanentError


@runtime_checkable
class _Detailed(Protocol):
    def errors(self) -> list[dict[str, Any]]: ...


ADVICE = (
    "Set it, for example `export PREFECT_API_URL=http://127.0.0.1:4200/api`, or choose a profile with "
    "`prefect profile use NAME`."
)


def require_settings() -> None:
    """Import Prefect, which reads its settings.

    Raises:
        BadInputError: naming the settings that it cannot read.
    """
    try:
        # Prefect reads a .env of the working directory and, if a setting is wrong, shows the values of it all.
        with contextlib.redirect_stderr(io.StringIO()):
            import prefect.settings

            prefect.settings.get_current_settings()
    except ValueError as error:
        # Pydantic's error, which would show the values.
        rows = error.errors() if isinstance(error, _Detailed) else []
        places = [".".join(map(str, row["loc"])) for row in rows if row["loc"]]
        names = f" ({', '.join(places)})" if places else ""
        advice = "Correct the environment variables that begin with PREFECT_, or Prefect's profile."
        raise BadInputError(f"Prefect's settings cannot be read{names}.", advice) from None


def announce_server() -> str:
    """Print and return the API that Prefect's settings name.

    Raises:
        BadInputError: if they cannot be read, or name none: Prefect would then start a server of its own, with nothing
            in it.
    """
    require_settings()
    from prefect.settings import get_current_settings

    url = get_current_settings().api.url
    if not url:
        raise BadInputError("No Prefect server is chosen: PREFECT_API_URL is not set.", ADVICE)
    if not url.startswith(("http://", "https://")):
        raise BadInputError("PREFECT_API_URL is no address: it must begin with http:// or https://.", ADVICE)
    say(f"Prefect API: {without_credentials(url)}")
    return url


def require_answer() -> None:
    """Make sure that the server answers, before anything is begun.

    Raises:
        TemporaryError: if it cannot be reached.
        PermanentError: if it refuses us.
    """
    from prefect.client.orchestration import get_client

    from blocks.estate.paging import request

    try:
        with get_client(sync_client=True) as client:
            request(client, "POST", "/block_types/filter", {"limit": 1})
    except UnicodeEncodeError:
        problem = "The credential (PREFECT_API_KEY or PREFECT_API_AUTH_STRING) has a character outside ASCII."
        raise BadInputError(problem, "Correct it.") from None
    except PermanentError as error:
        if " 404 " in error.message:
            raise PermanentError(error.message, "Does PREFECT_API_URL end in /api?") from None
        raise


def without_credentials(url: str) -> str:
    """Return an address without the user and password that it may hold."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
