"""The four pages of the Power BI report: which visuals show which metrics, on a grid.

Titles are in English and Chinese at once: a title is text of the report, which Power BI does not translate.

What does not belong here: how pages and visuals are written (pbir.py), and what metrics mean (the registry).
"""

from __future__ import annotations

from venue_assets.powerbi import funnel
from venue_assets.powerbi.captions import column_caption
from venue_assets.powerbi.grid import CARDS, HEADER, LOWER, UPPER, row
from venue_assets.powerbi.model import MEASURES, SemanticModel
from venue_assets.powerbi.pbir import FieldOf, Page, Visual


def report_pages(model: SemanticModel) -> list[Page]:
    """The pages in their order."""
    fields = _Fields(model)
    return [_overview(fields), _visitors(fields), _customers(fields), _experiments(fields)]


class _Fields:
    """Fields of the model by the names of registry and star, with what readers see."""

    def __init__(self, model: SemanticModel) -> None:
        self.model = model

    def metrics(self, *names: str) -> tuple[FieldOf, ...]:
        return tuple(FieldOf(MEASURES, self.model.names[name], "Measure") for name in names)

    def column(self, table: str, name: str, aggregation: str = "") -> FieldOf:
        caption = column_caption(name, self.model.registry)
        return FieldOf(table, name, "Column", f"{caption.en} · {caption.zh}", aggregation)

    def columns(self, table: str, *names: str) -> tuple[FieldOf, ...]:
        return tuple(self.column(table, name) for name in names)

    def cards(self, *names: str) -> list[Visual]:
        """One card per metric, titled by it."""
        return [Visual(f"card_{name}", "card", self._title(name), {"Values": self.metrics(name)}) for name in names]

    def _title(self, name: str) -> str:
        """The metric's label; with its unit where the figure would not say it."""
        metric = self.model.registry[name]
        if metric.unit != "s":
            return f"{metric.label.en} · {metric.label.zh}"
        unit = self.model.registry.units[metric.unit]
        return f"{metric.label.en} ({unit.en}) · {metric.label.zh}（{unit.zh}）"


def _overview(of: _Fields) -> Page:
    date, venue = of.columns("dim_date", "event_date"), of.columns("dim_venue", "venue")
    visuals = [
        *_header(of, "Overview · 概览", _slicer("slicer_activity", of.column("dim_activity", "activity"))),
        *row(CARDS, of.cards("pf_range", "pf_entrance", "pv", "completed_orders", "conversion", "gmv")),
        *row(
            UPPER,
            [
                Visual(
                    "visits_by_date",
                    "lineChart",
                    "Entries counted and recognised visits by date · 每日进店人数与到访人次",
                    {"Category": date, "Y": of.metrics("pf_entrance", "pv")},
                ),
                Visual(
                    "gmv_by_venue",
                    "clusteredBarChart",
                    "GMV by venue, each in its own currency · 各场所成交总额（各自货币）",
                    {"Category": venue, "Y": of.metrics("gmv")},
                ),
            ],
            (2, 1),
        ),
        *row(
            LOWER,
            [
                Visual(
                    "orders_by_weekday",
                    "clusteredColumnChart",
                    "Orders by weekday · 各星期成交订单数",
                    {"Category": of.columns("dim_date", "weekday"), "Y": of.metrics("completed_orders")},
                ),
                Visual(
                    "venues",
                    "pivotTable",
                    "Venues by month · 各场所各月指标",
                    {
                        "Rows": (*venue, of.column("dim_date", "month")),
                        "Values": of.metrics("pf_range", "ocr", "pv", "uv", "conversion", "gmv"),
                    },
                ),
            ],
            (1, 2),
        ),
    ]
    return Page("overview", "Overview · 概览", visuals)


def _visitors(of: _Fields) -> Page:
    date = of.columns("dim_date", "event_date")
    visuals = [
        *_header(
            of, "Visitors and funnel · 客流与漏斗", _slicer("slicer_activity", of.column("dim_activity", "activity"))
        ),
        *row(
            CARDS,
            of.cards("ocr", "recognition_share", "uv", "new_visitors", "returning_visitors", "lov_median_seconds"),
        ),
        *row(
            UPPER,
            [
                Visual(
                    "funnel",
                    "funnel",
                    "From passers-by to purchases · 从路过到成交",
                    {
                        "Category": of.columns(funnel.TABLE, funnel.STAGE),
                        "Y": (FieldOf(MEASURES, funnel.MEASURE, "Measure"),),
                    },
                ),
                Visual(
                    "new_and_returning",
                    "lineChart",
                    "New and returning visitors by date · 每日新访客与回访客",
                    {"Category": date, "Y": of.metrics("new_visitors", "returning_visitors")},
                ),
            ],
            (1, 2),
        ),
        *row(
            LOWER,
            [
                Visual(
                    "visits_by_hour",
                    "clusteredColumnChart",
                    "Visits by local hour of entry · 各进入小时到访人次",
                    {"Category": of.columns("dim_hour", "hour"), "Y": of.metrics("pv")},
                ),
                Visual(
                    "visits_by_weekday_and_hour",
                    "pivotTable",
                    "Visits by weekday and hour · 各星期各小时到访人次",
                    {
                        "Rows": of.columns("dim_date", "weekday"),
                        "Columns": of.columns("dim_hour", "hour"),
                        "Values": of.metrics("pv"),
                    },
                ),
            ],
            (1, 2),
        ),
    ]
    return Page("visitors", "Visitors and funnel · 客流与漏斗", visuals)


def _customers(of: _Fields) -> Page:
    segment = of.columns("dim_customer", "segment")
    visuals = [
        *_header(of, "Customers and RFM · 顾客与 RFM", _slicer("slicer_segment", segment[0])),
        *row(
            CARDS,
            of.cards("users", "paying_users", "arpu", "arppu", "repurchase_rate", "repurchase_rate_days"),
        ),
        *row(
            UPPER,
            [
                Visual(
                    "users_by_segment",
                    "clusteredBarChart",
                    "Known users by RFM segment · 各 RFM 分群已知用户数",
                    {"Category": segment, "Y": of.metrics("users")},
                ),
                Visual(
                    "segments",
                    "pivotTable",
                    "RFM segments · RFM 分群",
                    {
                        "Rows": segment,
                        "Values": of.metrics("users", "paying_users", "identified_gmv", "arppu", "repurchase_rate"),
                    },
                ),
            ],
            (1, 2),
        ),
        *row(
            LOWER,
            [
                Visual(
                    "users_by_month",
                    "clusteredColumnChart",
                    "Known and paying users by month · 各月已知用户数与付费用户数",
                    {"Category": of.columns("dim_date", "month"), "Y": of.metrics("users", "paying_users")},
                ),
                Visual(
                    "pieces_by_category",
                    "clusteredBarChart",
                    "Pieces sold by category · 各品类销售件数",
                    {"Category": of.columns("fact_order_line", "category_id"), "Y": of.metrics("pieces_sold")},
                ),
                Visual(
                    "segment_moves",
                    "pivotTable",
                    "Moves between RFM segments, from row to column · RFM 分群变动（行为原分群，列为新分群）",
                    {
                        "Rows": of.columns("fact_segment_migration", "previous_segment"),
                        "Columns": of.columns("fact_segment_migration", "segment"),
                        "Values": (of.column("fact_segment_migration", "users", "Sum"),),
                    },
                    only=(of.column("fact_segment_migration", "is_move"), "true"),
                ),
            ],
            (1, 1, 2),
        ),
    ]
    return Page("customers", "Customers and RFM · 顾客与 RFM", visuals)


def _experiments(of: _Fields) -> Page:
    date = of.columns("dim_date", "event_date")
    experiments = of.column("dim_experiment", "experiment_id", "Count")
    decided = of.column("fact_verdict", "experiment_id", "Count")
    latest = of.column("fact_verdict", "is_latest")
    status = of.column("fact_verdict", "status")
    verdict = ("experiment_id", "arm", "kpi", "status", "n_control", "n_arm", "effect", "low", "high", "p_value")
    visuals = [
        *_header(
            of,
            "Experiments and allocations · 实验与流量分配",
            _slicer("slicer_experiment", of.column("dim_experiment", "experiment_id")),
        ),
        *row(
            CARDS,
            [
                Visual("card_experiments", "card", "Experiments · 实验数", {"Values": (experiments,)}, everywhere=True),
                Visual(
                    "card_verdicts",
                    "card",
                    "Experiments with a verdict · 已有结论的实验数",
                    {"Values": (decided,)},
                    only=(status, "'verdict'"),
                    everywhere=True,
                ),
                Visual(
                    "card_not_enough",
                    "card",
                    "Ended without enough samples · 样本不足而结束的实验数",
                    {"Values": (decided,)},
                    only=(status, "'not_enough'"),
                    everywhere=True,
                ),
            ],
        ),
        *row(
            UPPER,
            [
                Visual(
                    "verdicts",
                    "tableEx",
                    "Verdicts as of the latest date · 截至最近日期的结论",
                    {"Values": of.columns("fact_verdict", *verdict, "conclusion", "conclusion_zh")},
                    only=(latest, "true"),
                    everywhere=True,
                )
            ],
        ),
        *row(
            LOWER,
            [
                Visual(
                    "samples",
                    "lineChart",
                    "Units so far and units needed, by arm · 各方案已有与所需样本数",
                    {
                        "Category": date,
                        "Y": (
                            of.column("fact_sample_size", "n_units", "Max"),
                            of.column("fact_sample_size", "required_n", "Max"),
                        ),
                        "Rows": of.columns("fact_sample_size", "arm"),
                    },
                ),
                Visual(
                    "shares",
                    "lineChart",
                    "Share of each arm in each group of visitors · 各访客分组中各方案的分配比例",
                    {
                        "Category": date,
                        "Series": of.columns("fact_allocation", "arm"),
                        "Y": (of.column("fact_allocation", "share", "Average"),),
                        "Rows": of.columns("fact_allocation", "rule"),
                    },
                ),
            ],
            (1, 1),
        ),
    ]
    return Page("experiments", "Experiments and allocations · 实验与流量分配", visuals)


def _header(of: _Fields, title: str, *more: Visual) -> list[Visual]:
    """The page's title, and slicers of dates, venues and what else the page asks for."""
    heading = Visual("heading", "textbox", title)
    date = _slicer("slicer_date", of.column("dim_date", "event_date"), "Between")
    venue = _slicer("slicer_venue", of.column("dim_venue", "venue"))
    return row(HEADER, [heading, date, venue, *more], (5, 3, 2, 2))


def _slicer(name: str, column: FieldOf, mode: str = "Dropdown") -> Visual:
    return Visual(name, "slicer", column.shown, {"Values": (column,)}, mode=mode, synchronised=True)
