"""The networks that geoseg can build, one ``NetworkEntry`` each. Loads no torch."""

from geoseg.nn.zoo.entries import (
    context,
    deeplab,
    fcn,
    foundation,
    hrnet,
    instance,
    interactive,
    libraries,
    panoptic,
    setr,
    unet,
)

ENTRIES = (
    *fcn.ENTRIES,
    *unet.ENTRIES,
    *deeplab.ENTRIES,
    *context.ENTRIES,
    *hrnet.ENTRIES,
    *setr.ENTRIES,
    *foundation.ENTRIES,
    *libraries.ENTRIES,
    *instance.ENTRIES,
    *interactive.ENTRIES,
    *panoptic.ENTRIES,
)
"""All networks, in the order in which lists show them."""
