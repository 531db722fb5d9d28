"""What Vigiles connects to, and what it is told to want. Importing this registers every block with Prefect."""

from blocks.access_directories.prefect_server import PrefectServerDirectory
from blocks.policies.access import AccessPolicy
from blocks.policies.placement import PlacementPolicy

__all__ = ["AccessPolicy", "PlacementPolicy", "PrefectServerDirectory"]
