"""Running one of the four flows here and now, and getting at its report however the run ended."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rules.errors import PermanentError, TemporaryError, VigilesError
from rules.reports import Report

if TYPE_CHECKING:
    from blocks.policies.interface import Policy


def flow_function(flow: str) -> Any:
    """Return the flow function of a flow's kebab-case name; importing it imports Prefect."""
    function = flow.replace("-", "_")
    return getattr(import_module(f"flows.{function}"), function)


def run_flow(flow: str, policy: "Policy", mode: str) -> tuple[Report, str]:
    """Run a flow in this process.

    Args:
        flow: its kebab-case name.
        policy: a policy of the kind that the flow takes.
        mode: ``audit`` or ``enforce``.

    Returns:
        The report, and the address at which the Prefect UI shows the run; empty where there is none.

    Raises:
        TemporaryError: if the server stops answering.
        VigilesError: the run's own, if it ended with one.
        PermanentError: if it ended without a report.
    """
    import httpx  # noqa: PLC0415 - the command shows its help without it
    from prefect.utilities.urls import url_for  # noqa: PLC0415 - as above

    try:
        state = flow_function(flow)(policy=policy, mode=mode, return_state=True)
    except httpx.HTTPError as error:
        problem = f"The Prefect server stopped answering ({type(error).__name__})."
        raise TemporaryError(problem, "Look at the run in the Prefect UI, then run again.") from None
    run_id = state.state_details.flow_run_id
    address = (url_for("flow-run", run_id) or "") if run_id else ""
    return report_of(state.result(raise_on_failure=False), address), address


def report_of(result: object, address: str) -> Report:
    """Return the report that a run ended with.

    Args:
        result: what the run's state holds: a report, an error with a report, or another error.
        address: where the Prefect UI shows the run.

    Raises:
        VigilesError: the run's own, if it ended with one.
        PermanentError: if it ended without a report.
    """
    report = result if isinstance(result, Report) else getattr(result, "report", None)
    if isinstance(report, Report):
        return report
    if isinstance(result, VigilesError):
        raise result
    raise PermanentError(
        f"The run ended without a report ({type(result).__name__}).",
        f"Look at its log{' at ' + address if address else ' in the Prefect UI'}, or run `vigiles --debug run ...`.",
    )
