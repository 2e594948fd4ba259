"""One module per data set; importing this package registers them all."""

from pointlift.data.datasets.mixture import Mixture
from pointlift.data.datasets.nuscenes import NuScenes
from pointlift.data.datasets.semantickitti import SemanticKITTI
from pointlift.data.datasets.street import Street

__all__ = ["Mixture", "NuScenes", "SemanticKITTI", "Street"]
