"""Folders of colour, depth and pose: how their files may be named, and the data set."""
