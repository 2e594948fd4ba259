"""One module per data set; importing this package registers them all."""

from pointlift.datasets.mixture import Mixture
from pointlift.datasets.modelnet import ModelNet10, ModelNet40
from pointlift.datasets.nuscenes.dataset import NuScenes
from pointlift.datasets.rgbd import RGBD
from pointlift.datasets.rooms import Rooms
from pointlift.datasets.scannet.dataset import ScanNet
from pointlift.datasets.scanobjectnn import ScanObjectNN
from pointlift.datasets.semantickitti import SemanticKITTI
from pointlift.datasets.shapenetpart import ShapeNetPart
from pointlift.datasets.shapes import Shapes
from pointlift.datasets.street import Street

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
