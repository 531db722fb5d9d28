"""What the GCP store is made of."""
