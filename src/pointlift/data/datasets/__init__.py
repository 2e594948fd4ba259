"""One module per data set; importing this package registers them all."""

from pointlift.data.datasets.mixture import Mixture
from pointlift.data.datasets.modelnet import ModelNet10, ModelNet40
from pointlift.data.datasets.nuscenes import NuScenes
from pointlift.data.datasets.rgbd import RGBD
from pointlift.data.datasets.rooms import Rooms
from pointlift.data.datasets.scannet import ScanNet
from pointlift.data.datasets.scanobjectnn import ScanObjectNN
from pointlift.data.datasets.semantickitti import SemanticKITTI
from pointlift.data.datasets.shapenetpart import ShapeNetPart
from pointlift.data.datasets.shapes import Shapes
from pointlift.data.datasets.street import Street

__all__ = [
    "RGBD",
    "Mixture",
    "ModelNet10",
    "ModelNet40",
    "NuScenes",
    "Rooms",
    "ScanNet",
    "ScanObjectNN",
    "SemanticKITTI",
    "ShapeNetPart",
    "Shapes",
    "Street",
]
