"""What a page is made of: cards with one figure, charts with their finding, tables. Plain data for the template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from venue_assets.pictures.tree import Branch

Tone = Literal["good", "bad", "neutral"]


@dataclass(frozen=True)
class Table:
    """Rows of written cells; the columns in `right` hold numbers."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Card:
    """One figure: its name leads to its definition."""

    metric: str
    label: str
    value: str
    unit: str = ""
    remark: str = ""
    """How the value is to be taken, such as estimated."""
    change: str | None = None
    arrow: str = ""
    tone: Tone = "neutral"
    tone_word: str = ""
    compared: str = ""
    basis: str = ""
    """The days behind the comparison, in words."""


@dataclass(frozen=True)
class Block:
    """A chart, a drawing or a table under its finding; where there is nothing to draw, the sentence that says so."""

    title: str
    note: str = ""
    metrics: Sequence[tuple[str, str]] = ()
    """Name and label of the metrics shown, whose definitions are linked."""
    spec: dict[str, Any] | None = None
    svg: str | None = None
    outline: Branch | None = None
    """The drawing in words, in its place where there is not the width for it."""
    tiles: Sequence[Tile] = ()
    table: Table | None = None
    open_table: bool = False
    """Whether the table is the thing itself, rather than the numbers behind a chart."""
    wide: bool = False
    is_empty: bool = False


@dataclass(frozen=True)
class Tile:
    """One RFM segment on the map."""

    name: str
    scores: str
    users: str
    money: str
    change: str
    weight: float
    """Between 0 and 1: how dark."""


@dataclass(frozen=True)
class Idea:
    """Something that might be tried."""

    finding: str
    test: str
    """What a test of it would be, in a sentence."""
    block: str | None
    """None: a test of it would take too long."""


@dataclass(frozen=True)
class Verdict:
    """What came of an experiment, in a word and a sentence."""

    experiment_id: str
    badge: str
    tone: Tone
    glance: str
    """The sentence that the badge goes with."""
    sentences: Sequence[str]
    about: str = ""
    blocks: Sequence[Block] = ()


@dataclass(frozen=True)
class VenuePart:
    """Everything about one venue."""

    venue_id: str
    name: str
    about: str
    headline: str
    cards: Sequence[Card]
    glance: Sequence[Card]
    visitors: Sequence[Block]
    sales: Sequence[Block]
    customers: Sequence[Block]
    verdicts: Sequence[Verdict]
    ideas: Sequence[Idea]
    no_ideas: str = ""
    """What is said where there are none."""
    compared: Block | None = None
    """What the activity brought against other days."""

    @property
    def glance_compared(self) -> str:
        """With what all figures of the overview are compared, where that is the same; said once, not below each."""
        said = {card.compared for card in self.glance}
        return said.pop() if len(said) == 1 else ""


@dataclass(frozen=True)
class Definition:
    """A metric as the registry has it."""

    name: str
    label: str
    symbol: str | None
    text: str
    unit: str
    sql: str


@dataclass(frozen=True)
class Page:
    """The whole report."""

    dates: str
    """As a condition in SQL."""
    title: str
    subtitle: str
    venues: Sequence[VenuePart]
    trust_headline: str
    trust_tone: Tone
    trust: Sequence[Block]
    footer: Sequence[str]
    definitions: Sequence[Definition] = ()
    specs: dict[str, dict[str, Any]] = field(default_factory=dict)
