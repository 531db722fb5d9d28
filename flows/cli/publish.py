"""``vigiles publish``: policies become the blocks that flows take."""

from flows.cli.check import Paths
from flows.cli.console import say
from flows.cli.server import announce_server

HELP = """Save policies as blocks of the Prefect server, for flows to take.

All policies are checked first, together with the blocks that they name (secret stores, targets, result stores,
directories); if anything is wrong, nothing is saved. A block keeps its id when it is saved again, so that
deployments and run forms go on pointing at it, and publishing the same again changes nothing. Each policy also gets
the concurrency limit that keeps two enforcing runs of it apart.

\b
Examples:
  export PREFECT_API_URL=http://127.0.0.1:4200/api
  vigiles publish policies
  vigiles publish policies/placement.yaml

\b
Ends with:
  0  everything is published
  2  something is wrong with a policy, a block is missing, or no server is chosen; nothing was saved
  3  the server did not answer or refused; what was saved before that is told
"""


def publish(paths: Paths) -> None:
    """Check all, then save all."""
    announce_server()
    from blocks.policies.loader import load_policies
    from flows.publish import Saved, publish_policies

    loaded = load_policies(paths)
    for problem in loaded.problems:
        if problem.warning:
            say(str(problem), colour="yellow")
    for published in publish_policies(loaded):
        say(str(published), colour="" if published.saved is Saved.UNCHANGED else "green")
