"""The peer of clean_to_metrics.py in pandas: the same logic over data frames, without checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from clean_date import clean_file, result_folder
from measure import report, work


def pandas(root: Path) -> None:
    """Sessions, order lines and metrics as Parquet."""
    import pandas as pd

    target = result_folder(root, "pandas")
    with work() as taken:
        activities = {"riverside": "fair"}
        v = pd.read_parquet(clean_file(root, "face_visits"))
        v = v.sort_values(["venue_id", "user_id", "recorded_at", "gateway_id", "boot_id", "seq"], ignore_index=True)
        same = (v["user_id"] == v["user_id"].shift()) & (v["venue_id"] == v["venue_id"].shift())
        enters = v["direction"] == "enter"
        followed = same.shift(-1, fill_value=False)
        after_enter = same & enters.shift(fill_value=False)
        upcoming = v[["recorded_at", "gateway_id", "boot_id", "seq"]].shift(-1)
        has_both = enters & followed & ~enters.shift(-1, fill_value=False)
        twelve = pd.Timedelta(hours=12)
        no_exit = enters & ~has_both
        s = v[["venue_id", "user_id", "gateway_id", "boot_id", "seq"]].copy()
        s["session_id"] = v["gateway_id"] + "-" + v["boot_id"] + "-" + v["seq"].astype(str)
        s["activity_id"] = v["venue_id"].map(activities).fillna("none")
        s["enter_at"] = v["recorded_at"].where(enters)
        s["leave_at"] = upcoming["recorded_at"].where(has_both, v["recorded_at"].where(~enters))
        s["enter_local"] = v["local_time"].where(enters)
        s["dwell_seconds"] = (s["leave_at"] - s["enter_at"]).dt.total_seconds()
        before_next = (upcoming["recorded_at"].where(followed) - pd.Timedelta(microseconds=1)).fillna(pd.Timestamp.max)
        reach = (v["recorded_at"] + twelve).where(v["recorded_at"] + twelve < before_next, before_next)
        s["reaches_until"] = s["leave_at"].where(has_both, reach.where(no_exit))
        s["state"] = np.select(
            [~enters, no_exit, s["dwell_seconds"] > 12 * 3600], ["no_entry", "no_exit", "overlong"], "complete"
        )
        for name in ("gateway_id", "boot_id", "seq"):
            s[f"leave_{name}"] = upcoming[name].where(has_both, v[name].where(~enters))
        s["leave_seq"] = s["leave_seq"].astype("Int64")
        opened = (enters | ~after_enter).to_numpy()
        s = s[opened]
        s = s.iloc[np.lexsort((s["seq"], s["enter_at"].fillna(s["leave_at"]), s["venue_id"].factorize(sort=True)[0]))]
        s.to_parquet(target / "sessions.parquet", index=False)

        o = pd.read_parquet(clean_file(root, "orders"))
        o = o[~o["superseded"]].sort_values(["venue_id", "order_id", "order_no"], ignore_index=True)
        line = ["gateway_id", "boot_id", "seq"]
        c = o.loc[o["user_id"].notna(), ["venue_id", "user_id", "ordered_at", *line]].merge(
            s[["venue_id", "user_id", "session_id", "enter_at", "leave_at", "reaches_until", *line]],
            on=["venue_id", "user_id"], suffixes=("", "_of_session"),
        )  # fmt: skip
        c["contains"] = (c["ordered_at"] >= c["enter_at"]) & (c["ordered_at"] <= c["reaches_until"])
        soon = (c["ordered_at"] >= c["leave_at"]) & (c["ordered_at"] <= c["leave_at"] + pd.Timedelta(minutes=30))
        c = c[c["contains"] | soon].sort_values(
            ["contains", "enter_at", "leave_at", *(f"{n}_of_session" for n in line)], na_position="first"
        )
        c = c.drop_duplicates(line, keep="last")[[*line, "session_id"]]
        o = o.merge(c, on=line, how="left")
        o["activity_id"] = o["venue_id"].map(activities).fillna("none")
        o.drop(columns=["device_id", "recorded_at", "clock", "source_user_id", "superseded"]).to_parquet(
            target / "order_lines.parquet", index=False
        )

        o["cents"] = (o["amount"].astype(float) * 100).round().astype("int64")
        counts = {
            n: pd.read_parquet(clean_file(root, n), columns=["venue_id", "local_time", "in_count"])
            for n in ("boundary_counts", "entrance_counts")
        }
        entered = s[s["enter_at"].notna()]
        primary = _pandas_metrics(pd, counts, entered, o, hourly=False)
        hourly = _pandas_metrics(pd, counts, entered, o, hourly=True)
        for name, frame in (("primary_metrics", primary), ("hourly_metrics", hourly)):
            frame.insert(1, "activity_id", frame["venue_id"].map(activities).fillna("none"))
            frame["currency"], frame["pf_entrance_estimated"] = "EUR", False
            frame.to_parquet(target / f"{name}.parquet", index=False)
    report(taken)


def _pandas_metrics(pd: Any, counts: dict[str, Any], sessions: Any, lines: Any, *, hourly: bool) -> Any:
    def by(frame: Any, time: str) -> list[Any]:
        return (
            [frame["venue_id"], frame[time].dt.hour.rename("hour").astype("int32")] if hourly else [frame["venue_id"]]
        )

    a, b = (frame["in_count"].groupby(by(frame, "local_time")).sum() for frame in counts.values())
    stays = sessions[sessions["state"] == "complete"]
    dwell = stays["dwell_seconds"].groupby(by(stays, "enter_local"))
    visits = sessions["user_id"].groupby(by(sessions, "enter_local"))
    done = lines[lines["status"] == "completed"]
    sold = done.groupby(by(done, "local_time"))
    anonymous = done[done["user_id"].isna()]
    undone = lines[lines["status"] != "completed"]
    columns = {
        "pf_range": a,
        "pf_entrance": b.astype(float),
        "ocr": b / a,
        "ocr_low": None,
        "ocr_high": None,
        "pv": visits.size(),
        "uv": visits.nunique(),
        "lov_mean_seconds": dwell.mean(),
        "lov_median_seconds": dwell.quantile(0.5),
        "lov_p90_seconds": dwell.quantile(0.9),
        "recognition_share": visits.size() / b,
        "completed_orders": sold["order_id"].nunique(),
        "paying_users": sold["user_id"].nunique(),
        "gmv": sold["cents"].sum() / 100,
        "gmv_anonymous": anonymous["cents"].groupby(by(anonymous, "local_time")).sum() / 100,
        "cancelled_amount": undone["cents"].groupby(by(undone, "local_time")).sum() / 100,
    }
    found = pd.DataFrame(columns)
    zero = ["pv", "uv", "completed_orders", "paying_users", "gmv", "gmv_anonymous", "cancelled_amount"]
    found[zero] = found[zero].fillna(0)
    found["recognition_share"] = found["pv"] / found["pf_entrance"]
    return found.reset_index()
