"""Keeping Prefect's own log and tracebacks off the terminal; the run's log on the server stays complete."""

import logging


def quieten() -> None:
    """Silence what Prefect writes to the terminal.

    A failed run is logged with the traceback of the error that carries its report; the verdict says it all.
    """
    from prefect.logging.configuration import setup_logging
    from prefect.logging.handlers import PrefectConsoleHandler

    setup_logging()
    for logger in (logging.getLogger(), *map(logging.getLogger, logging.Logger.manager.loggerDict)):
        for handler in logger.handlers:
            if isinstance(handler, PrefectConsoleHandler):
                handler.setLevel(logging.CRITICAL + 1)
