"""What a mode means where a flow has nothing to act with: asking for enforcement is answered, never ignored."""

from rules.findings import Finding, Rule, Severity, Subject

ENFORCE_NOT_AVAILABLE = Rule(
    id="enforce-not-available",
    severity=Severity.INFO,
    title="What enforce mode would do exists",
    remedy="Run in audit mode, and act on the remedies of the findings by hand.",
)


def enforce_not_available(mode: str, policy: str, why: str) -> tuple[Finding, ...]:
    """Return one skipped finding if enforcement was asked of a flow that acts on nothing; else nothing.

    Args:
        mode: ``audit`` or ``enforce``.
        policy: the policy's name, which the finding is about.
        why: why nothing is done, in one sentence that ends with a period.
    """
    if mode != "enforce":
        return ()
    subject = Subject("policy", policy, policy)
    return (ENFORCE_NOT_AVAILABLE.skipped(subject, f"Enforce mode was asked for and nothing was done. {why}"),)
