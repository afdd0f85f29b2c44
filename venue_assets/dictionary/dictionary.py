"""dictionary.html, one page that needs nothing else, and dictionary.md, with the same contents."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from venue_assets.dictionary.contents import Contents, contents

_HTML: Final = "dictionary.html"
_MARKDOWN: Final = "dictionary.md"
_SCRIPT: Final = Path(__file__).with_name("dictionary.js")


def write_dictionary(folder: Path, *, publication_id: str | None = None) -> None:
    """Write dictionary.html and dictionary.md into `folder`, which exists. The same definitions give the same bytes."""
    found = contents()
    for name in (_HTML, _MARKDOWN):
        text = _environment(name).get_template(f"{name}.j2").render(_context(found), publication_id=publication_id)
        (folder / name).write_text(text, encoding="utf-8")


def _environment(name: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=name == _HTML,  # noqa: S701 (Markdown has its own filter)
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"cell": _cell, "broken": _broken, "prose": _prose}
    return environment


def _context(found: Contents) -> dict[str, object]:
    tables = {table.name: table.full_name for group in found.tables for table in group.tables}
    metrics = {entry.metric.name for group in found.metrics for entry in group.metrics}
    anchors = {name: f"table-{full.replace('.', '-')}" for name, full in tables.items()}
    # Line by line: the hash is of what a browser reads, and browsers read every line end as \n.
    script = "\n".join(["", *_SCRIPT.read_text(encoding="utf-8").splitlines(), ""])
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {
        "found": found,
        "anchors": anchors | {name: f"metric-{name}" for name in metrics},
        "script": Markup(script),  # noqa: S704 (ours)
        "policy": f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'",
    }


def _cell(text: str) -> str:
    """Text for a cell of a Markdown table."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _broken(name: str) -> Markup:
    """A name that may be broken after its underscores and dots, so that it fits a phone."""
    return Markup(str(escape(name)).replace("_", "_<wbr>").replace(".", ".<wbr>"))  # noqa: S704 (escaped)


def _prose(text: str) -> Markup:
    """Text of which what stands in backticks is code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 (escaped)
