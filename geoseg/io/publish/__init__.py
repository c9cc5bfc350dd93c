"""What surrounds the layers: styles, QGIS projects, STAC items, previews, indexes of archives."""
