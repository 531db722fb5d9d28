"""What Vigiles connects to, and what it is told to want. Importing this registers every block with Prefect."""
