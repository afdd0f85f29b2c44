"""Charts as Vega-Lite specifications, made with Altair: how figures are drawn, and nothing of what they mean.

Rows travel beside the chart (one named data set), so Altair has only the drawing to check.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

import altair as alt

from venue_assets.pictures.colours import BLUE, DEEP, GREY, VERMILION
from venue_assets.report.figures import Row

Spec = dict[str, Any]

INK: Final = "#1B2430"
PALE: Final = "#D8DEE6"
HEAT: Final = ("#F1F6FA", "#9CC7E3", "#2F86BE", DEEP)
"""From nothing to much: lightness alone tells."""
_WEEK: Final = 196
"""Height of all weekdays of a heat map."""
_FEW: Final = 8
"""Dates whose columns fill a chart."""
_FONT: Final = (
    "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', "
    "'Source Han Sans SC', sans-serif"
)
_CONFIG: Final = {
    "aria": False,
    "background": "transparent",
    "font": _FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "#4A5563",
        "titleColor": "#4A5563",
        "labelFontSize": 13,
        "titleFontSize": 13,
        "titleFontWeight": "normal",
        "gridColor": "#E7EBF0",
        "domainColor": "#B6BEC9",
        "tickColor": "#B6BEC9",
        "labelLimit": 240,
    },
    "legend": {
        "labelColor": INK,
        "titleColor": "#4A5563",
        "labelFontSize": 13,
        "titleFontSize": 13,
        "titleFontWeight": "normal",
        "orient": "top",
        "direction": "horizontal",
        "labelLimit": 240,
        "offset": 4,
    },
    "text": {"fontSize": 13, "color": INK},
}


def bars(rows: Sequence[Row], *, label: str, value: str, text: str, series: Sequence[str] = ()) -> Spec:
    """Horizontal bars in the order of the rows, each with its name above it and its figure beside that.

    Names above leave the whole width to the bars, on a telephone too. With two `series`, bars are coloured by theirs;
    behind one with a `whole` that is drawn palely.
    """
    names = [row[label] for row in rows]
    high = alt.Chart(alt.NamedData(name="rows")).encode(
        y=alt.Y(f"{label}:N", sort=names, scale=alt.Scale(domain=names, paddingInner=0.1), axis=None)
    )
    bare = high.mark_bar(height=14, yOffset=8, cornerRadiusEnd=2, color=BLUE)
    bar = bare.encode(x=_from_zero(value), tooltip=_tips(label, text))
    if series:
        colours = alt.Scale(domain=list(series), range=[BLUE, VERMILION][: len(series)])
        bar = bar.encode(color=alt.Color("series:N", scale=colours, legend=alt.Legend(title=None)))
    layers = [bar]
    if any("whole" in row for row in rows):
        behind = bare.transform_filter("isValid(datum.whole)").encode(
            x=_from_zero("whole"), color=alt.value(PALE), stroke=alt.value(GREY)
        )
        layers = [behind, bar]
    return _spec(
        alt.layer(*layers, *_captions(high, label, text)).properties(width="container", height=46 * len(rows)), rows
    )


def over_the_day(rows: Sequence[Row], *, names: Sequence[str], starts: int, y: str, peak: Row | None = None) -> Spec:
    """Lines over the hours of one event date; `second` counts from its start, `starts` seconds after midnight."""
    clock = f"timeFormat(datetime(2000, 0, 1, 0, 0, datum.value + {starts}), '%H:%M')"
    seconds = [row["second"] for row in rows]
    base = alt.Chart(alt.NamedData(name="rows")).encode(
        x=alt.X(
            "second:Q",
            title=None,
            scale=alt.Scale(domain=[min(seconds), max(seconds)], nice=False),
            axis=alt.Axis(
                values=_whole_hours(min(seconds), max(seconds), starts),
                labelExpr=clock,
                grid=False,
                labelOverlap="greedy",
                labelSeparation=10,
            ),
        ),
        y=alt.Y("inside:Q", title=y, axis=alt.Axis(tickCount=5, format=",.0f")),
        tooltip=_tips("clock", "figure", "series"),
    )
    colour = alt.Color(
        "series:N",
        scale=alt.Scale(domain=list(names), range=[BLUE, VERMILION][: len(names)]),
        legend=alt.Legend(title=None, symbolType="stroke", symbolStrokeWidth=3) if len(names) > 1 else None,
    )
    first = alt.datum.series == names[0]
    layers: list[alt.Chart] = [
        base.transform_filter(first).mark_area(color=BLUE, opacity=0.14),
        base.mark_line(strokeWidth=2).encode(
            color=colour,
            strokeDash=alt.StrokeDash(
                "series:N", scale=alt.Scale(domain=list(names), range=[[1, 0], [5, 3]][: len(names)])
            ),
        ),
    ]
    if peak:
        at = base.transform_filter((alt.datum.second == peak["second"]) & first)
        layers += [
            at.mark_point(filled=True, size=70, color=BLUE, opacity=1),
            # On white, where another line passes behind it.
            at.mark_text(dy=-12, fontWeight="bold", stroke="white", strokeWidth=5).encode(text=alt.Text("figure:N")),
            at.mark_text(dy=-12, fontWeight="bold").encode(text=alt.Text("figure:N")),
        ]
    return _spec(alt.layer(*layers).properties(width="container", height=220), rows)


def heat_map(rows: Sequence[Row], *, weekdays: Sequence[str], hours: Sequence[int], legend: str) -> Spec:
    """Weekdays down, hours across; darker is more. Few weekdays are as high together as all."""
    chart = (
        alt.Chart(alt.NamedData(name="rows"))
        .mark_rect(stroke="white", strokeWidth=1)
        .encode(
            x=alt.X(
                "hour:O", sort=list(hours), scale=alt.Scale(domain=list(hours)), title=None,
                axis=alt.Axis(labelAngle=0, labelOverlap=True, ticks=False, domain=False),
            ),
            y=alt.Y(
                "day:N", sort=list(weekdays), scale=alt.Scale(domain=list(weekdays)), title=None,
                axis=alt.Axis(ticks=False, domain=False),
            ),
            color=alt.Color(
                "mean:Q", scale=alt.Scale(range=list(HEAT), domainMin=0),
                legend=alt.Legend(title=legend, gradientLength=140, gradientThickness=10, tickCount=3),
            ),
            tooltip=_tips("day", "clock", "figure"),
        )
        .properties(width="container", height=_WEEK // len(weekdays) * len(weekdays))
    )  # fmt: skip
    return _spec(chart, rows)


def by_hour(rows: Sequence[Row], *, hours: Sequence[int], y: str) -> Spec:
    """A column per hour of one date."""
    chart = (
        alt.Chart(alt.NamedData(name="rows"))
        .mark_bar(color=BLUE)
        .encode(
            x=alt.X(
                "hour:O", sort=list(hours), title=None,
                axis=alt.Axis(labelAngle=0, labelOverlap=True, ticks=False, labelPadding=7),
                scale=alt.Scale(domain=list(hours), paddingInner=0.18),
            ),
            y=alt.Y("mean:Q", title=y, axis=alt.Axis(tickCount=5, format=",.0f")),
            tooltip=_tips("clock", "figure"),
        )
        .properties(width="container", height=220)
    )  # fmt: skip
    return _spec(chart, rows)


def histogram(rows: Sequence[Row], *, x: str, y: str, median: float | None, median_label: str) -> Spec:
    """Bars of visits by minutes, with the median as a line."""
    step = rows[0]["until"] - rows[0]["minutes"]
    base = alt.Chart(alt.NamedData(name="rows"))
    bar = base.mark_bar(color=BLUE, binSpacing=1).encode(
        x=alt.X(
            "minutes:Q", title=x, bin="binned", axis=alt.Axis(grid=False, tickMinStep=step, tickCount=8, format="d")
        ),
        x2=alt.X2("until:Q"),
        y=alt.Y("visits:Q", title=y, axis=alt.Axis(tickCount=5, format=",.0f")),
        tooltip=_tips("range", "visits"),
    )
    layers: list[alt.Chart] = [bar]
    if median is not None:
        mark = alt.Chart(alt.InlineData(values=[{"median": median, "label": median_label}]))
        layers += [
            mark.mark_rule(color=INK, strokeWidth=1.5, strokeDash=[4, 3]).encode(x=alt.X("median:Q")),
            mark.mark_text(align="left", dx=6, y=6, fontWeight="bold").encode(
                x=alt.X("median:Q"), text=alt.Text("label:N")
            ),
        ]
    return _spec(alt.layer(*layers).properties(width="container", height=220), rows)


def stacked_days(
    rows: Sequence[Row],
    *,
    series: Sequence[str],
    colours: Sequence[str],
    y: str,
    share: bool = False,
    apart: tuple[str, str] | None = None,
) -> Spec:
    """A stacked column per date; `apart` is the date of one that is set apart, pale within its outlines, and what is
    written above it.
    """
    days = list(dict.fromkeys(row["day"] for row in rows))
    base = alt.Chart(alt.NamedData(name="rows")).encode(
        x=alt.X(
            "day:N", sort=days, title=None,
            axis=alt.Axis(labelAngle=0, labelOverlap=True, labelSeparation=6, labelPadding=7, ticks=False),
            scale=alt.Scale(paddingInner=0.18),
        )
    )  # fmt: skip
    colour: dict[str, Any] = {
        "sort": list(series),
        "scale": alt.Scale(domain=list(series), range=list(colours)),
        "legend": alt.Legend(title=None, offset=18 if apart else 4),
    }
    # The columns of few dates are no wider than those of some.
    wide = alt.RelativeBandSize(band=min(1.0, len(days) / _FEW))
    bar = base.mark_bar(strokeWidth=1.5 if apart else 0, width=wide).encode(
        y=alt.Y(
            "value:Q", title=y, stack="normalize" if share else "zero",
            axis=alt.Axis(tickCount=5, format=".0%" if share else ",.0f"),
        ),
        fill=alt.Fill("series:N", **colour),
        stroke=alt.Stroke("series:N", **colour),
        order=alt.Order("place:Q"),
        fillOpacity=alt.condition(alt.datum.day == apart[0], alt.value(0.4), alt.value(1)) if apart else alt.Undefined,
        tooltip=_tips("day", "series", "figure"),
    )  # fmt: skip
    layers: list[alt.Chart] = [bar]
    if apart:
        named = base.transform_filter((alt.datum.day == apart[0]) & (alt.datum.series == series[0]))
        layers += [named.mark_text(fontWeight="bold", text=apart[1]).encode(y=alt.value(-8))]
    return _spec(alt.layer(*layers).properties(width="container", height=220), rows)


def progress(rows: Sequence[Row]) -> Spec:
    """What each arm has, as a bar, and what it needs, as a line to be reached."""
    base = alt.Chart(alt.NamedData(name="rows")).encode(y=_in_order("arm", axis=None))
    layers = [
        base.mark_bar(height=14, yOffset=8, color=BLUE, cornerRadiusEnd=2).encode(
            x=_from_zero("n"), tooltip=_tips("arm", "text")
        ),
        base.transform_filter("isValid(datum.required)")
        .mark_tick(height=16, thickness=3, yOffset=8.5, color=INK, opacity=1)
        .encode(x=alt.X("required:Q")),
        *_captions(base, "arm", "text"),
    ]
    return _spec(alt.layer(*layers).properties(width="container", height=46 * len(rows)), rows)


def effects(rows: Sequence[Row], *, x: str, scale: str, worth: float | None, worth_label: str) -> Spec:
    """The effect of each arm with its interval, against none; dashed is the effect that was worth finding.

    Names and figures stand above each other, and both lines beside the interval only: so nothing crosses a letter.
    """
    base = alt.Chart(alt.NamedData(name="rows")).encode(y=_in_order("arm", axis=None))
    beside: dict[str, Any] = {"yOffset": 4, "y2Offset": 36}
    layers: list[Any] = [
        base.mark_rule(color=INK, **beside).encode(x=alt.XDatum(0), y2=alt.Y2("arm:N")),
    ]
    if worth is not None:
        layers += [
            base.transform_calculate(worth=str(worth), label=f"'{worth_label}'")
            .mark_rule(color=GREY, strokeDash=[4, 3], **beside)
            .encode(x=alt.X("worth:Q"), y2=alt.Y2("arm:N"), tooltip=_tips("label"))
        ]
    layers += [
        base.mark_rule(strokeWidth=3, color=BLUE, yOffset=20).encode(
            x=alt.X(
                "low:Q", title=x, scale=alt.Scale(padding=32),
                axis=alt.Axis(
                    labelExpr=f"datum.value == 0 ? '0' : format(datum.value, '{scale}')", tickCount=6, grid=False,
                    labelOverlap="greedy", labelSeparation=8,
                ),
            ),
            x2=alt.X2("high:Q"), tooltip=_tips("arm", "text"),
        ),
        base.mark_point(filled=True, size=110, color=BLUE, opacity=1, yOffset=20).encode(
            x=alt.X("effect:Q"), tooltip=_tips("arm", "text")
        ),
        base.mark_text(align="left", x=8, yOffset=-28).encode(text=alt.Text("arm:N")),
        base.mark_text(align="left", x=8, yOffset=-10, fontWeight="bold").encode(text=alt.Text("text:N")),
    ]  # fmt: skip
    return _spec(alt.layer(*layers).properties(width="container", height=84 * len(rows)), rows)


def _captions(base: alt.Chart, name: str, figure: str) -> list[alt.Chart]:
    """Above a bar: its name on the left, its figure on the right, up to which the name may go."""
    beside = f"width - 8 * length(datum.{figure}) - 8"
    return [
        base.mark_text(align="left", x=0, yOffset=-8, limit=alt.ExprRef(beside)).encode(text=alt.Text(f"{name}:N")),
        base.mark_text(align="right", yOffset=-8, fontWeight="bold").encode(
            x=alt.XValue("width"),  # type: ignore[no-untyped-call]
            text=alt.Text(f"{figure}:N"),
        ),
    ]


def _in_order(field: str, **more: Any) -> alt.Y:
    return alt.Y(f"{field}:N", sort=None, scale=alt.Scale(paddingInner=0.1), **more)


def _from_zero(field: str) -> alt.X:
    return alt.X(f"{field}:Q", axis=None, scale=alt.Scale(domainMin=0))


def _tips(*fields: str) -> list[alt.Tooltip]:
    return [alt.Tooltip(f"{field}:N", title=" " * n or "\N{NO-BREAK SPACE}") for n, field in enumerate(fields, 1)]


def _whole_hours(first: int, last: int, starts: int) -> list[int]:
    """Every second hour of the clock, as seconds since the event date began."""
    return [s for s in range(first - first % 3600, last + 1, 3600) if s >= first and (s + starts) % 7200 == 0]


def _spec(chart: Any, rows: Sequence[Row]) -> Spec:
    with alt.utils.schemapi.debug_mode(False):
        spec = chart.to_dict(validate=False)
    spec.pop("$schema", None)
    spec["config"] = _CONFIG
    spec["datasets"] = spec.get("datasets", {}) | {"rows": [{k: _plain(v) for k, v in row.items()} for row in rows]}
    return dict(spec)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, date) else value
