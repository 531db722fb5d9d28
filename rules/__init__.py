"""What should happen: pure decisions. Nothing here can do I/O, read a clock, or knows Prefect."""
