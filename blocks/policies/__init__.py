"""Policies: what is wanted, as documents in git and as blocks that are their published copy."""
