"""Commands that are more than one call; one module per command."""
