"""Interactive segmentation: clicks on a scene give the mask of an object, and further clicks mend it."""
