"""Access directories: what can tell who may do what, or how a server without users is guarded."""
