"""``vigiles deploy``: publish the policies and deploy the four flows, all checked before anything is changed."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.console import say

HELP = """Publish the policies and deploy the four flows to the Prefect server.

Everything is checked first: the policies and the blocks they name, the work pools, the entrypoints, the parameters.
Prefect itself would accept most mistakes here and fail only when a run starts. Then the policies are published,
prefect.yaml is deployed, and each run form gets its policy pre-selected. New schedules are as prefect.yaml has them
(inactive); what you switched on or off in the UI stays so when you deploy again.

\b
Examples:
  export PREFECT_API_URL=http://127.0.0.1:4200/api
  prefect work-pool create high-security --type process
  vigiles deploy
  vigiles deploy --policies ../our-policies --prefect-file ours.yaml

\b
Ends with:
  0  everything is deployed
  2  something is wrong or missing; nothing was changed
  3  the server did not answer or refused; what was done before that is told
"""


def deploy(
    policies: Annotated[list[Path] | None, typer.Option(metavar="PATH", help="Policy files or folders.")] = None,
    prefect_file: Annotated[Path, typer.Option(metavar="FILE", help="The deployments.")] = Path("prefect.yaml"),
) -> None:
    """Check everything, publish, deploy."""
    from blocks.policies.loader import load_policies
    from flows.cli.server import announce_server
    from flows.deploying.deploying import check_deployments
    from flows.deploying.deploying import deploy as deploy_checked
    from flows.deploying.reading import read_deployments
    from flows.publish import check_policies, publish_policies, slug_of

    announce_server()
    deployments = read_deployments(prefect_file)
    loaded = load_policies(policies or [Path("policies")])
    check_policies(loaded)
    check_deployments(deployments, {slug_of(entry.policy) for entry in loaded.policies})
    say("Checked: policies, blocks, work pools, entrypoints, parameters.")
    for published in publish_policies(loaded):
        say(str(published))
    deployed = deploy_checked(prefect_file, deployments)
    for one in deployed:
        say(str(one), colour="yellow" if one.mode == "enforce" else "")
    say("Run one from the UI, or with `prefect deployment run NAME`; switch its schedule on in the UI.")
