"""Methods: what one pretraining step is. One module per method."""

from pointlift.methods.concept.method import Concept
from pointlift.methods.point_pixel import PointPixel
from pointlift.train.method import Method

__all__ = ["Concept", "Method", "PointPixel"]
