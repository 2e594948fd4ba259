"""Tasks: what labels ask. One module per task."""
