"""What the Vault store is made of."""
