"""3D students: networks that give every point of a cloud a feature. Importing this package registers them."""

from pointlift.students import minkunet, point_transformer
from pointlift.students.base import Student, evaluating
from pointlift.students.memory import keep_freed_memory
from pointlift.students.normalization import BatchNorm

__all__ = ["BatchNorm", "Student", "evaluating", "keep_freed_memory", "minkunet", "point_transformer"]
