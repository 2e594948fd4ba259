"""The embedded street: a generated town, a ray caster, a spinning LiDAR and cameras, nothing downloaded."""
