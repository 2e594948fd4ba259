"""Generators of streets, rooms and objects, for data without a download."""
