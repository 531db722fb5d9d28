"""The flows of the demo's estate: small, but they run for real and persist real results."""

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact

RESULTS = "local-file-system/results"
"""The storage block of the estate's results."""


@task(persist_result=True)
def extract(rows: int) -> list[int]:
    """Return some rows; its result is persisted.

    Args:
        rows: how many.
    """
    return list(range(rows))


@flow(name="nightly-load", persist_result=True, result_storage=RESULTS, log_prints=False)
def nightly_load(rows: int = 1000) -> int:
    """Load some rows and leave a report.

    Args:
        rows: how many.
    """
    loaded = len(extract(rows))
    create_markdown_artifact(key="nightly-load", markdown=f"Loaded {loaded} rows.")
    return loaded


@flow(name="close-the-books", persist_result=True, result_storage=RESULTS)
def close_the_books(year: int = 2026) -> dict[str, int]:
    """Return the balance of a year, which the retention policy holds for the audit.

    Args:
        year: which.
    """
    return {"year": year, "balance": sum(extract(100))}


@flow(name="train-model")
def train_model() -> None:
    """Do nothing; it only has a deployment."""
