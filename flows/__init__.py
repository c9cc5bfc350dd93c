"""Entry files of the flows, for ``python flows/NAME.py`` and for deployments; the code is in ``geoseg.flows``."""
