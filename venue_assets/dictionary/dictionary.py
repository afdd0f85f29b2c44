"""The pages, one per language, that need nothing else, and dictionary.md, in both, with the same contents."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import partial
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from venue_assets.dictionary.contents import Contents, contents
from venue_assets.publish.names import DICTIONARY_MARKDOWN, DICTIONARY_PAGES, FRONT_PAGES, entry_of_table
from venue_assets.semantic_layer.metrics import LANGUAGES, Language, Text

_HTML: Final = "dictionary.html.j2"
_MARKDOWN: Final = "dictionary.md.j2"
_ENGLISH: Final = Markup(' lang="en"')
_SCRIPT: Final = Path(__file__).with_name("dictionary.js")


def write_dictionary(folder: Path, *, publication_id: str | None = None) -> None:
    """Write the pages and dictionary.md into `folder`, which exists. The same definitions give the same bytes."""
    context = _context(contents()) | {"publication_id": publication_id}
    for language in LANGUAGES:
        page = _environment(_HTML, language).get_template(_HTML).render(context)
        (folder / DICTIONARY_PAGES[language]).write_text(page, encoding="utf-8")
    markdown = _environment(_MARKDOWN, "en").get_template(_MARKDOWN).render(context)
    (folder / DICTIONARY_MARKDOWN).write_text(markdown, encoding="utf-8")


def _environment(template: str, language: Language) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=template == _HTML,  # noqa: S701 (Markdown has its own filter)
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "cell": _cell,
        "broken": _broken,
        "prose": _prose,
        "said": partial(_said, language=language),
    }
    environment.globals |= {
        "language": language,
        "other": "en" if language == "zh" else "zh",
        "words": lambda en, zh: zh if language == "zh" else en,
        "english": Markup("") if language == "en" else _ENGLISH,
        "reports": FRONT_PAGES[language],
    }
    return environment


def _context(found: Contents) -> dict[str, object]:
    tables = {table.name: entry_of_table(table.schema, table.name) for group in found.tables for table in group.tables}
    metrics = {entry.metric.name: f"metric-{entry.metric.name}" for group in found.metrics for entry in group.metrics}
    # Line by line: the hash is of what a browser reads, and browsers read every line end as \n.
    script = "\n".join(["", *_SCRIPT.read_text(encoding="utf-8").splitlines(), ""])
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {
        "found": found,
        "anchors": tables | metrics,
        "pages": DICTIONARY_PAGES,
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


def _said(text: Text, language: Language) -> Markup:
    """A text in the language of the page, or, where there is none, in English and marked so."""
    if text[language] or not text.en:
        return _prose(text[language])
    return Markup(f"<span{_ENGLISH}>{_prose(text.en)}</span>")  # noqa: S704 (escaped)
