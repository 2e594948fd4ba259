"""What all generated worlds share: solids, rays, textures, materials, sensors, worker processes and the cache."""
