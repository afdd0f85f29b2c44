"""The reference relations: their columns, and where people find what they are made of. Which rows they have on an event
date is `lake.reference`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

REFERENCES: Final[Mapping[str, Mapping[str, str]]] = {
    "site": {"identity": "VARCHAR"},
    "venues": {
        "venue_id": "VARCHAR",
        "currency": "VARCHAR",
        "operates": "BOOLEAN",
        "has_boundary": "BOOLEAN",
        "has_entrance": "BOOLEAN",
        "has_terminal": "BOOLEAN",
        "takes_orders": "BOOLEAN",
    },
    "devices": {
        "device_id": "VARCHAR",
        "venue_id": "VARCHAR",
        "gateway_id": "VARCHAR",
        "stream": "VARCHAR",
        "counting": "VARCHAR",
        "in_share": "DOUBLE",
    },
    "device_accuracy": {
        "device_id": "VARCHAR",
        "venue_id": "VARCHAR",
        "stream": "VARCHAR",
        "counted_share_low": "DOUBLE",
        "counted_share_high": "DOUBLE",
    },
    "activities": {"venue_id": "VARCHAR", "activity_id": "VARCHAR", "first_date": "DATE"},
    "experiments": {
        "experiment_id": "VARCHAR",
        "venue_id": "VARCHAR",
        "kind": "VARCHAR",
        "unit": "VARCHAR",
        "kpi": "VARCHAR",
        "alpha": "DOUBLE",
        "power": "DOUBLE",
        "minimum_effect": "DOUBLE",
        "reward_days": "INTEGER",
        "first_date": "DATE",
        "last_date": "DATE",
        "matures_on": "DATE",
    },
    "experiment_arms": {
        "experiment_id": "VARCHAR",
        "arm": "VARCHAR",
        "position": "INTEGER",
        "fixed_share": "DOUBLE",
        "first_date": "DATE",
        "last_date": "DATE",
    },
    "experiment_kpis": {"experiment_id": "VARCHAR", "kpi": "VARCHAR", "position": "INTEGER"},
    "experiment_covariates": {"experiment_id": "VARCHAR", "covariate": "VARCHAR", "position": "INTEGER"},
    "experiment_policies": {
        "experiment_id": "VARCHAR",
        "exploration": "DOUBLE",
        "floor": "DOUBLE",
        "reward_bound": "DOUBLE",
        "target": "VARCHAR",
        "refit_days": "INTEGER",
        "history_days": "INTEGER",
        "learn_from": "VARCHAR",
    },
    "booked_units": {"venue_id": "VARCHAR", "unit": "VARCHAR", "until": "DATE"},
    "venue_day_spans": {
        "venue_id": "VARCHAR",
        "starts_at": "TIMESTAMP",
        "ends_at": "TIMESTAMP",
        "utc_offset_seconds": "BIGINT",
    },
    "missing_sequences": {
        "stream": "VARCHAR",
        "gateway_id": "VARCHAR",
        "boot_id": "VARCHAR",
        "first_missing": "BIGINT",
        "last_missing": "BIGINT",
    },
}
"""What SQL may read besides tables: the site and the landing as they are seen from one event date."""

ORIGINS: Final[Mapping[str, str]] = {
    "site": "site.toml (identity)",
    "venues": "site.toml (venues, devices) or what landed first at a venue",
    "devices": "site.toml (devices)",
    "device_accuracy": "site.toml (devices: accuracy, manual_count)",
    "activities": "site.toml (activities)",
    "experiments": "site.toml (experiments)",
    "experiment_arms": "site.toml (experiments)",
    "experiment_kpis": "site.toml (experiments)",
    "experiment_covariates": "site.toml (experiments)",
    "experiment_policies": "site.toml (experiments)",
    "booked_units": "site.toml (experiments)",
    "venue_day_spans": "site.toml (venues: time_zone, day_starts_at)",
    "missing_sequences": "landing/ (sequence numbers missing around the date)",
}
"""Where people find what each relation is made of."""
