"""Methods: what one training step is. One module per method."""

from pointlift.methods.base import Method
from pointlift.methods.concept.method import Concept
from pointlift.methods.point_pixel import PointPixel
from pointlift.tasks.segmentation import Segmentation

__all__ = ["Concept", "Method", "PointPixel", "Segmentation"]
