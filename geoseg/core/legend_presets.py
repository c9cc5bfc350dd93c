"""Legends of data sets with published models: classes in their order, in the usual colours."""

from __future__ import annotations

from types import MappingProxyType

from geoseg.core.legend import Legend, LegendClass

_VOC = (
    "background,aeroplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,dining table,dog,horse,motorbike,person,"
    "potted plant,sheep,sofa,train,tv monitor"
)
_CITYSCAPES = (
    "road:804080,sidewalk:f423e8,building:464646,wall:66669c,fence:be9999,pole:999999,traffic light:faaa1e,"
    "traffic sign:dcdc00,vegetation:6b8e23,terrain:98fb98,sky:4682b4,person:dc143c,rider:ff0000,car:00008e,"
    "truck:000046,bus:003c64,train:005064,motorcycle:0000e6,bicycle:770b20"
)
_ISPRS = "impervious surface:ffffff,building:0000ff,low vegetation:00ffff,tree:00ff00,car:ffff00,clutter:ff0000"
_LOVEDA = "background:ffffff,building:ff0000,road:ffff00,water:0000ff,barren:9f81b7,forest:00ff00,agriculture:ffc380"


def bit_colour(code: int) -> str:
    """Return Pascal VOC's colour of a code: its bits, three at a time, from the highest of red, green and blue down."""
    channels = [0, 0, 0]
    for place in range(8):
        for channel in range(3):
            channels[channel] |= (code >> (3 * place + channel) & 1) << (7 - place)
    return "#" + "".join(f"{value:02x}" for value in channels)


def _legend(text: str) -> Legend:
    classes = []
    for code, entry in enumerate(text.split(",")):
        name, _, colour = entry.partition(":")
        classes.append(LegendClass(code=code, name=name, colour=f"#{colour}" if colour else bit_colour(code)))
    return Legend(classes=tuple(classes))


PRESETS: MappingProxyType[str, Legend] = MappingProxyType(
    {
        "voc": _legend(_VOC),
        "cityscapes": _legend(_CITYSCAPES),
        "isprs": _legend(_ISPRS),
        "loveda": _legend(_LOVEDA),
    }
)
"""Legends by name."""
