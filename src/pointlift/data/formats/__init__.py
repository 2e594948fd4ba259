"""Files of points, meshes, images of depth and what else recordings are kept in."""
