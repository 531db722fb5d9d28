"""What a Prefect server says of its estate: pools, workers, deployments, runs, artifacts. Reading only."""
