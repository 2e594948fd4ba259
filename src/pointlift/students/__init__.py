"""3D students: networks that give every point of a cloud a feature. One module per student."""

from pointlift.students.base import Student, Undecayed, evaluating
from pointlift.students.memory import keep_freed_memory
from pointlift.students.normalization import BatchNorm

__all__ = ["BatchNorm", "Student", "Undecayed", "evaluating", "keep_freed_memory"]
