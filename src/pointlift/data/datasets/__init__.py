"""One module per data set; importing this package registers them all."""

from pointlift.data.datasets.semantickitti import SemanticKITTI
from pointlift.data.datasets.street import Street

__all__ = ["SemanticKITTI", "Street"]
