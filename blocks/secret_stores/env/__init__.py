"""What the .env store is made of."""
