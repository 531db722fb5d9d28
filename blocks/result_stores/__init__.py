"""Result stores: where persisted results lie, listed and pruned without ever reading a result."""
