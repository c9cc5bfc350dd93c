"""A map of a scene, a run or an archive in the browser: a server on the loopback address and its page."""
