"""Files that accompany layers: styles, QGIS projects, STAC items, previews, indexes of archives."""
