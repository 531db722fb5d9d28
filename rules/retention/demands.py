"""The rules of retention as readers know them: id, severity, title and remedy; listed in the README."""

from rules.findings import Rule, Severity

RETENTION_PLAN = Rule(
    id="retention-plan",
    severity=Severity.INFO,
    title="The plan says what is past its retention, under a digest",
    remedy="",
)
RESULTS_PAST_RETENTION = Rule(
    id="results-past-retention",
    severity=Severity.MEDIUM,
    title="No result is kept longer than the policy says",
    remedy="Read the list of changes, then run again in enforce mode.",
)
ARTIFACTS_PAST_RETENTION = Rule(
    id="artifacts-past-retention",
    severity=Severity.MEDIUM,
    title="No artifact is kept longer than the policy says",
    remedy="Read the list of changes, then run again in enforce mode.",
)
RETENTION_CEILING = Rule(
    id="retention-ceiling",
    severity=Severity.HIGH,
    title="A run deletes no more than the policy's limits",
    remedy="Read the list of changes of an audit run. Raise `limits` in the policy if all of it should go.",
)
RETENTION_MARK = Rule(
    id="retention-mark",
    severity=Severity.HIGH,
    title="Everything that may refer to a result could be read",
    remedy="Nothing was deleted. Repair what failed, then run again.",
)
RETENTION_STORE = Rule(
    id="retention-store",
    severity=Severity.HIGH,
    title="Every store of the policy can be opened",
    remedy="Name a block that this version can prune, or take the store out of the policy.",
)
LIVE_RESULT_MISSING = Rule(
    id="live-result-missing",
    severity=Severity.MEDIUM,
    title="The results of live runs are in their store",
    remedy="A retry or resume will run these tasks again. Find out who deleted the objects, or which host holds them.",
)
RETAINED_RESULT_MISSING = Rule(
    id="retained-result-missing",
    severity=Severity.LOW,
    title="The results of retained runs are in their store",
    remedy="Find out who deleted the objects, or which host holds them.",
)
RESULT_OUT_OF_REACH = Rule(
    id="result-out-of-reach",
    severity=Severity.MEDIUM,
    title="Results on local disks lie in a store of the policy, on this host",
    remedy="Name their directory as a store, run this flow on the host that holds them, or persist to a shared store.",
)
STORE_UNDECLARED = Rule(
    id="store-undeclared",
    severity=Severity.LOW,
    title="Results lie in stores that the policy names",
    remedy="Add the block to `stores`, so that its results are retained as the policy says.",
)
CACHES_KEPT = Rule(
    id="never-expiring-caches",
    severity=Severity.LOW,
    title="Caches have an expiration",
    remedy="Set `cache_expiration` on the tasks, or `caches: expire` in the policy: then a cache lives as long as the "
    "results of the runs that use it, and its task runs again afterwards.",
)
HOLD_EXPIRED = Rule(
    id="hold-expired",
    severity=Severity.MEDIUM,
    title="No hold of the policy has expired",
    remedy="Renew it with its owner, or take it out of the policy.",
)
RUNS_NOT_PRUNED = Rule(
    id="runs-not-pruned",
    severity=Severity.INFO,
    title="The policy says nothing that is not enforced",
    remedy="Let the server's own vacuum delete old runs (PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED).",
)
RETENTION_RECOUNT = Rule(
    id="retention-recount",
    severity=Severity.HIGH,
    title="What was deleted is gone",
    remedy="Find out who writes these objects again, then run again.",
)
