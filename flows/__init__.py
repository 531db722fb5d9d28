"""What runs: one module a flow, and what they share to report, publish, deploy and be commanded."""
