"""What the stores in AWS are made of, and the sessions that they share with AWS targets."""
