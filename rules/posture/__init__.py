"""How a self-hosted server is guarded: what was observed of it, and one rule a claim."""
