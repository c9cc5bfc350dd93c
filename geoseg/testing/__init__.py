"""Contract tests to inherit, for networks, runtimes, vector formats and readers of one's own; and fakes to test with.

The modules of contract tests need pytest, and nothing else of geoseg imports them. See ``docs/testing.md``.
"""

import sys

if "pytest" in sys.modules:  # which explains failed assertions only of modules that it knows of
    sys.modules["pytest"].register_assert_rewrite(
        *(f"{__name__}.{part}" for part in ("layer_writers", "networks", "runtimes", "scenes", "vector_writers"))
    )
