"""Whether flows run only where their constraints allow: policy and observed estate in, findings out.

* A constraint governs deployments and requires labels of the work pool (and queue) they run in: run to host.
* ``accepts`` of a pool says which deployments it takes: host to run. Both directions are checked, as a protected job in
  an open pool and an open job in a protected pool are different faults.
* What the policy does not declare, or declares for a pool of another id, has no labels and fulfils nothing.
* Only the policy says what is true of a pool. Labels, tags and statuses that any client of the API can write are never
  evidence for it; a deployment's tags can only bring it under a constraint or keep it out of a pool that accepts few.
* A run keeps the pool it was scheduled in when its deployment moves: waiting runs are judged by themselves.
"""

from rules.placement.catalogue import RULES
from rules.placement.estate import Deployment, Estate, Gap, Pool, Queue, ScheduledRun, Worker
from rules.placement.judgement import judge_placement
from rules.placement.policy import PlacementPolicy

__all__ = [
    "RULES",
    "Deployment",
    "Estate",
    "Gap",
    "PlacementPolicy",
    "Pool",
    "Queue",
    "ScheduledRun",
    "Worker",
    "judge_placement",
]
