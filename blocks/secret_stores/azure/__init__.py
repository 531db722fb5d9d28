"""What the Key Vault store is made of."""
