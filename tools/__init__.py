"""What makes files that ship with pointlift; run from the root of the repository, and not part of the wheel."""
