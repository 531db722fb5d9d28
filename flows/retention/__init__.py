"""The two ends of ``enforce_retention``: what it observes before it decides, and what it does afterwards."""
