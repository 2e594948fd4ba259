"""Concept distillation: the token set of an image, predicted from the points of its frame."""
