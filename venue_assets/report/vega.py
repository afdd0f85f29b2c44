"""Vega, Vega-Lite and vega-embed as one script, to be put into the page: bundled once, then kept.

Bundling takes seconds of a processor, so the result is kept beside other caches of whoever runs this, by version.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from edge_collector.durable import write_atomically


@lru_cache(maxsize=1)
def script() -> str:
    """The script. It defines `vegaEmbed`."""
    kept = _folder() / f"vega-{version('vl-convert-python')}.js"
    with suppress(OSError, UnicodeDecodeError):
        return kept.read_text(encoding="utf-8")
    import vl_convert

    made = str(vl_convert.javascript_bundle())  # type: ignore[call-arg]  # its stub has no default
    if "</script" in made.lower() or "<!--" in made:
        raise ValueError("the bundle of Vega cannot be put into a page: it has an end of a script in it")
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, made.encode())
    return made


def _folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "venue-assets"
