"""``vigiles demo``: the four flows on a small but real estate of its own."""
