"""What checks credentials and can take a new one: one module a system, behind the one interface of ``interface``."""
