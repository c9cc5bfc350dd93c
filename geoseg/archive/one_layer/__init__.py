"""One layer of polygons over all scenes of an archive: objects that borders cut are whole again."""
