"""One module per data set; importing this package registers them all."""

from pointlift.data.datasets.semantickitti import SemanticKITTI

__all__ = ["SemanticKITTI"]
