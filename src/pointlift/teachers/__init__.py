"""Frozen 2D models behind one contract (`base`), a module for each, and the cache of what they say (`cache`)."""
