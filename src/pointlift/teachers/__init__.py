"""Frozen 2D models behind one protocol, and the cache of their features."""

from pointlift.teachers.base import Teacher
from pointlift.teachers.cache import FeatureCache
from pointlift.teachers.clip import CLIP
from pointlift.teachers.clipcap import ClipCap
from pointlift.teachers.dinov2 import DINOv2
from pointlift.teachers.embeddings import Embeddings
from pointlift.teachers.images import teacher_size, view_to_tensor
from pointlift.teachers.labelmaps import LabelMaps
from pointlift.teachers.pixels import PixelFeatures
from pointlift.teachers.resnet50 import ResNet50
from pointlift.teachers.sampling import sample_features
from pointlift.teachers.segmenter import Segmenter
from pointlift.teachers.siglip import SigLIP
from pointlift.teachers.street import StreetTeacher
from pointlift.teachers.text import TextEncoder
from pointlift.teachers.tokens import TokenSets, token_shape

__all__ = [
    "CLIP",
    "ClipCap",
    "DINOv2",
    "Embeddings",
    "FeatureCache",
    "LabelMaps",
    "PixelFeatures",
    "ResNet50",
    "Segmenter",
    "SigLIP",
    "StreetTeacher",
    "Teacher",
    "TextEncoder",
    "TokenSets",
    "sample_features",
    "teacher_size",
    "token_shape",
    "view_to_tensor",
]
