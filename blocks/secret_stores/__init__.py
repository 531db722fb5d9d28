"""Where secrets live: one module a backend, behind the one interface of ``interface``."""
