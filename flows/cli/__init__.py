"""The ``vigiles`` command, one module a subcommand."""
