"""The one path by which every flow reports: JSON, artifacts, event, final state."""
