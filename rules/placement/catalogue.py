"""Every rule on placement: its id, how much it matters, what it demands, what to do."""

from rules.findings import Rule, Severity

POOL_MISSING = Rule(
    "pool-missing",
    Severity.MEDIUM,
    "Every work pool of the policy exists",
    "Create the work pool, or remove it from the policy.",
)
POOL_ID_CHANGED = Rule(
    "pool-id-changed",
    Severity.CRITICAL,
    "A work pool is the one that the policy was written for",
    "Find out who made the pool anew and what its workers are; then write its new id into the policy.",
)
POOL_UNBOUND = Rule(
    "pool-unbound",
    Severity.LOW,
    "A work pool of the policy is bound to an id",
    "Write `id:` with the pool's id into the policy: a pool made anew under the same name then shows.",
)
POOL_UNDECLARED = Rule(
    "pool-undeclared",
    Severity.HIGH,
    "Governed deployments run in declared work pools only",
    "Move the deployment to a declared pool, or declare what is true of this one in the policy.",
)
POOL_MISMATCH = Rule(
    "pool-mismatch",
    Severity.HIGH,
    "A deployment runs in a place that fulfils its constraints",
    "Move the deployment to a work pool that fulfils the constraint, and deploy it from git again.",
)
POOL_REFUSES = Rule(
    "pool-refuses",
    Severity.HIGH,
    "A work pool holds only the deployments that it accepts",
    "Move the deployment to another work pool, or tag it as what the pool accepts if that is what it is.",
)
POOL_TAKES_NO_RUNS = Rule(
    "pool-takes-no-runs",
    Severity.MEDIUM,
    "A live worker could take the runs of governed deployments",
    "Resume what is paused, raise a limit of 0, or start a worker for the pool.",
)
POOL_OVERRIDABLE = Rule(
    "pool-overridable",
    Severity.MEDIUM,
    "A work pool leaves only the allowed job variables open",
    "Take the variables out of the base job template, write their values into its job configuration, and set "
    "`additionalProperties: false` in its variables.",
)
QUEUE_UNDECLARED = Rule(
    "queue-undeclared",
    Severity.MEDIUM,
    "A work pool has only the queues that the policy declares",
    "Declare the queue or delete it. Any run may create one by naming it.",
)
QUEUE_MISSING = Rule(
    "queue-missing",
    Severity.LOW,
    "Every work queue of the policy exists",
    "Create the work queue, or remove it from the policy.",
)
QUEUE_NO_BOUNDARY = Rule(
    "queue-no-boundary",
    Severity.LOW,
    "A constraint is fulfilled by the pool, not by its queue alone",
    "Give such deployments a work pool of their own: any run may choose another queue of its pool.",
)
ABSENCE_MATCHES = Rule(
    "absence-matches",
    Severity.LOW,
    "A constraint does not hold merely because a label is missing",
    "Give the pool the label, or add the key by itself to `require` so that it must be there.",
)
DEPLOYMENT_UNMANAGED = Rule(
    "deployment-unmanaged",
    Severity.HIGH,
    "A governed deployment has a work pool",
    "Deploy it to a work pool that fulfils its constraints: without one, it runs wherever somebody serves it.",
)
TAG_UNKNOWN = Rule(
    "tag-unknown",
    Severity.MEDIUM,
    "A deployment's tags use the words of the policy",
    "Correct the tag: as it stands, it brings the deployment under no constraint.",
)
CONSTRAINT_IDLE = Rule(
    "constraint-idle",
    Severity.LOW,
    "A constraint governs at least one deployment",
    "Look for a typing error in its tags, names or pools, or for a deployment that lost its tag.",
)
CONSTRAINT_OFF = Rule(
    "constraint-off", Severity.INFO, "A constraint is switched on", "Set its mode to audit or enforce."
)
DEPLOYMENTS_UNGOVERNED = Rule(
    "deployments-ungoverned",
    Severity.INFO,
    "Which deployments are under no constraint",
    "Give the policy a constraint that selects them, if they should have one.",
)
RUN_MISPLACED = Rule(
    "run-misplaced",
    Severity.HIGH,
    "A waiting run waits in a place that fulfils its deployment's constraints",
    "Delete the run, and start it anew from its deployment: a run stays in the pool that it was scheduled in.",
)
RUN_WITHOUT_DEPLOYMENT = Rule(
    "run-without-deployment",
    Severity.MEDIUM,
    "Nothing but deployments sends runs to a pool that accepts only some",
    "Delete the run and find out who made it: its job variables were never checked against the pool's template.",
)
UNSEEN = Rule(
    "placement-unseen",
    Severity.HIGH,
    "Everything that placement depends on can be read",
    "Run again; if it fails again, look at the server's log.",
)

RULES: tuple[Rule, ...] = (
    POOL_MISSING,
    POOL_ID_CHANGED,
    POOL_UNBOUND,
    POOL_UNDECLARED,
    POOL_MISMATCH,
    POOL_REFUSES,
    POOL_TAKES_NO_RUNS,
    POOL_OVERRIDABLE,
    QUEUE_UNDECLARED,
    QUEUE_MISSING,
    QUEUE_NO_BOUNDARY,
    ABSENCE_MATCHES,
    DEPLOYMENT_UNMANAGED,
    TAG_UNKNOWN,
    CONSTRAINT_IDLE,
    CONSTRAINT_OFF,
    DEPLOYMENTS_UNGOVERNED,
    RUN_MISPLACED,
    RUN_WITHOUT_DEPLOYMENT,
    UNSEEN,
)
"""Every rule on placement, for documents and for checking the rule that an exception names."""
