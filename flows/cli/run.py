"""``vigiles run``: one flow, once, here and now; its verdict, the worst of its findings, and its JSON."""

import json
import os
from collections.abc import Mapping
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.console import say
from flows.cli.server import announce_server, require_answer
from flows.cli.verdict import show_report
from rules.errors import BadInputError, PermanentError, TemporaryError, VigilesError
from rules.reports import Report

if TYPE_CHECKING:
    from blocks.policies.interface import Policy

HELP = """Run one flow now, in this process, and show its verdict.

The policy is a file (it need not be published) or a published block: its name, or its slug as type/name. In audit
mode, the default, nothing is changed and the report says what would be. The run is recorded on the Prefect server as
any other, with its report as an artifact; secrets and stores are reached from this machine.

\b
Examples:
  vigiles run verify-placement --policy policies/placement.yaml
  vigiles run rotate-secrets --policy production --mode enforce
  vigiles run rotate-secrets --policy production --mode enforce --secret warehouse --action roll-back
  vigiles run enforce-retention --policy retention-policy/production --json report.json

\b
Ends with:
  0  nothing to report
  1  findings failed
  2  bad input or usage; nothing was touched
  3  something could not be checked or done (wins over 1)
"""


class FlowName(StrEnum):
    """The flows that can be run."""

    ROTATE_SECRETS = "rotate-secrets"
    VERIFY_PLACEMENT = "verify-placement"
    ENFORCE_RETENTION = "enforce-retention"
    REPORT_RBAC_DRIFT = "report-rbac-drift"

    @property
    def function(self) -> str:
        """The name of the flow function, and of its module in ``flows``."""
        return self.value.replace("-", "_")


class Mode(StrEnum):
    """Whether to change anything."""

    AUDIT = "audit"
    ENFORCE = "enforce"


class OrderedAction(StrEnum):
    """What to do with the secrets of a rotation."""

    ROTATE = "rotate"
    ROLL_BACK = "roll-back"
    EMERGENCY = "emergency"


def run(
    context: typer.Context,
    flow: Annotated[FlowName, typer.Argument(metavar="FLOW", help=f"One of {', '.join(FlowName)}.")],
    policy: Annotated[str, typer.Option(metavar="FILE_OR_SLUG", help="A policy file, or a published policy block.")],
    mode: Annotated[Mode, typer.Option(help="Whether to change anything.")] = Mode.AUDIT,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the whole report to this file.")
    ] = None,
    secret: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="rotate-secrets: only this secret; may be repeated.")
    ] = None,
    action: Annotated[
        OrderedAction,
        typer.Option(
            help="rotate-secrets: rotate what is due; roll-back takes a rotation of the named secrets back while the "
            "version before still works; emergency rotates them now and retires the old credential at once."
        ),
    ] = OrderedAction.ROTATE,
    accept_outage: Annotated[
        bool,
        typer.Option("--accept-outage", help="rotate-secrets: in an emergency, cut the current credential off first."),
    ] = False,
) -> None:
    """Run a flow and show what it found."""
    if json_file is not None:
        json_file = require_writable(json_file)
    announce_server()
    from flows.cli.policy_choice import chosen_policy
    from flows.cli.quiet import quieten

    # A file is judged before the server is asked for anything.
    block = chosen_policy(policy, flow)
    order = ordered(flow, block, secret or [], action, accept_outage=accept_outage)
    require_answer()
    if not context.find_root().params.get("debug"):
        quieten()
    say(f"Running {flow.value} with the policy {block.name}, mode {mode.value} ...")
    report, address = run_flow(flow, block, mode.value, order)
    # Written first: whoever reads the output may leave before its end.
    if json_file is not None:
        write_report(json_file, report)
    show_report(report, address)
    if json_file is not None:
        say(f"Report: {json_file}")
    raise typer.Exit(report.exit_code)


def ordered(
    flow: FlowName, policy: "Policy", secrets: list[str], action: OrderedAction, *, accept_outage: bool
) -> dict[str, object]:
    """Return the parameters of rotate-secrets that say what to do with which secrets; none for another flow.

    Args:
        flow: which flow.
        policy: its policy.
        secrets: names of secrets of the policy; all of them if empty.
        action: what to do.
        accept_outage: whether consumers may be cut off.

    Raises:
        BadInputError: if the flow is another one, or the order does not fit the policy.
    """
    order: dict[str, object] = {"secrets": secrets, "action": action.value, "accept_outage": accept_outage}
    if flow is FlowName.ROTATE_SECRETS:
        from blocks.policies.rotation import RotationPolicy
        from flows.rotating.orders import check

        assert isinstance(policy, RotationPolicy)
        check(policy, secrets, action.value, accept_outage=accept_outage)
        return order
    if secrets or action is not OrderedAction.ROTATE or accept_outage:
        raise BadInputError(f"--secret, --action and --accept-outage are for rotate-secrets, not for {flow.value}.")
    return {}


def require_writable(path: Path) -> Path:
    """Make sure that a report can be written, before the run.

    Returns:
        The file itself, where ``path`` is a link to it.

    Raises:
        BadInputError: if it cannot.
    """
    try:
        place = path.resolve()
        if not place.parent.is_dir():
            raise BadInputError(f"The folder of --json {path} does not exist.", "Make it first.")
        if place.is_dir():
            raise BadInputError(f"--json {path} is a folder.", "Name a file in it.")
        if place.exists() and not place.is_file():
            raise BadInputError(f"--json {path} is no regular file.", "Name a file.")
    except OSError as error:
        raise BadInputError(f"--json {path} cannot be used: {error.strerror}.", "Choose another place.") from None
    if not os.access(place.parent, os.W_OK) or (place.exists() and not os.access(place, os.W_OK)):
        raise BadInputError(f"--json {path} may not be written.", "Choose another place.")
    return place


def write_report(path: Path, report: Report) -> None:
    """Write a report as JSON, whole or not at all; only its owner may read it, as it tells what is weak.

    Raises:
        PermanentError: if it cannot be written.
    """
    temporary = None
    try:
        with NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=".vigiles-report-", delete=False
        ) as file:
            temporary = Path(file.name)
            json.dump(report.to_json(), file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        reason = os.strerror(error.errno or 0).lower()
        raise PermanentError(
            f"The report could not be written to {path}: {reason}.", "The run's artifact holds it too."
        ) from None


def run_flow(
    flow: FlowName, policy: "Policy | str", mode: str, order: Mapping[str, object] | None = None
) -> tuple[Report, str]:
    """Run a flow in this process and return its report, and where the Prefect UI shows the run (may be empty).

    Args:
        flow: which flow.
        policy: the policy, or what ``--policy`` takes.
        mode: ``audit`` or ``enforce``.
        order: further parameters of the flow.

    Raises:
        VigilesError: if there is no such policy, the server does not answer, or the run ended without a report.
    """
    import httpx
    from prefect.utilities.urls import url_for

    from flows.cli.policy_choice import chosen_policy

    function = getattr(import_module(f"flows.{flow.function}"), flow.function)
    policy = chosen_policy(policy, flow) if isinstance(policy, str) else policy
    try:
        state = function(policy=policy, mode=mode, return_state=True, **(order or {}))
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
