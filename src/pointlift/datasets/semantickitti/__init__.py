"""SemanticKITTI: its classes, its files, and the data set of the same name."""
