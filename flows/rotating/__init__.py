"""What rotate-secrets is made of: loading blocks, performing one step at a time, observing and rotating one secret."""
