"""``python -m flows.cli``: the ``vigiles`` command where its script is not on the PATH."""

from flows.cli.main import main

if __name__ == "__main__":
    main()
