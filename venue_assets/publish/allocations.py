"""Allocation files: the shares of each bandit's next date, signed for the gateways that act on them.

    allocations/<experiment_id>/<event_date>.json      edge_collector.allocation says what is in it
    allocations/public-key.pem                         to be brought to gateways once, on a way of its own

They are written from the publication that is being built, so that they say what its tables say.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

import duckdb
import polars as pl
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge_collector.allocation import MOMENTS, Leaves, path_of, signed
from edge_collector.experiment import Experiment
from edge_collector.key_file import KeyProblem, load_secret
from venue_assets.home import Home
from venue_assets.methods.conditional_inference_tree import ConditionalInferenceTree
from venue_assets.methods.context_groups import leaves_by_moment

ALLOCATIONS: Final = "allocations"
PUBLIC_KEY: Final = "public-key.pem"
"""No experiment's id has a hyphen, so none is called so."""
KEY_VARIABLE: Final = "VENUE_ALLOCATION_KEY"
_KEY_BYTES: Final = 32
_FEATURES: Final = "venue.segments.visitor_features"


def load_key(home: Home) -> Ed25519PrivateKey:
    """The private key: 64 hexadecimal digits in VENUE_ALLOCATION_KEY, else in the home's file, which is made if absent.

    Raises KeyProblem.
    """
    text = load_secret("allocation key", KEY_VARIABLE, home.allocation_key, lambda: secrets.token_hex(_KEY_BYTES))
    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text))
    except ValueError:
        raise KeyProblem(
            f"the allocation key in {KEY_VARIABLE} or {home.allocation_key} is no key; {2 * _KEY_BYTES} hexadecimal "
            "digits are expected"
        ) from None


def write_allocations(
    folder: Path,
    con: duckdb.DuckDBPyConnection,
    home: Home,
    changed: Mapping[str, set[str]],
    earlier: Path | None,
    link: Callable[[Path, Path], None],
    features_as_of: Callable[[date], str] = lambda day: f"{_FEATURES} WHERE event_date = DATE '{day}'",
) -> None:
    """All allocations of the publication that is attached to `con` as `venue`, in the new `folder`.

    Those that are made of dates not `changed`, by table, are linked to the `earlier` folder's. `features_as_of` says
    from what the visitor features of a date are selected. Raises KeyProblem; where no bandit is on, no key is needed.
    """
    folder.mkdir()
    found = con.sql(_ALLOCATIONS).fetchall()
    if not found:
        return
    key = load_key(home)
    public_key = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / PUBLIC_KEY).write_bytes(public_key)
    if earlier and not _holds(earlier / PUBLIC_KEY, public_key):
        earlier = None  # signed with another key
    anew = set[str]().union(*(changed[name] for name in _MADE_OF))
    experiments = {e.id: e for e in home.site.experiments}
    for experiment_id, day, of, allocation_id, tree, shares in found:
        target, experiment = path_of(folder, experiment_id, of), experiments.get(experiment_id)
        target.parent.mkdir(exist_ok=True)
        if earlier and str(day) not in anew and (before := path_of(earlier, experiment_id, of)).exists():
            link(before, target)
        # Of an experiment that is no longer what it was then, there is nothing to tell gateways.
        elif experiment and {arm for _, arm, _ in shares} == set(experiment.arms):
            venue_id = home.site.venue_of(experiment).id
            document = _document(experiment, of, allocation_id, json.loads(tree), shares)
            leaves = _leaves(con, tree, venue_id, day, features_as_of(day))
            target.write_bytes(signed(document | leaves, key))


_NEW: Final = {"segment": "new", "frequency": 0, "visits": 0, "value": 0}
"""A visitor whom nobody knows, as the table visitor_contexts has it."""

_MADE_OF: Final = ("bandit_allocations", "context_tree", "visitor_features", "identity_map")

_ALLOCATIONS: Final = """
SELECT a.experiment_id, a.event_date, a.event_date_of_shares, a.allocation_id, t.tree,
  list((a.leaf, a.arm, a.share) ORDER BY a.leaf, a.position)
FROM venue.experiments.bandit_allocations AS a
JOIN venue.experiments.context_tree AS t ON t.event_date = a.event_date AND t.experiment_id = a.experiment_id
GROUP BY a.experiment_id, a.event_date, a.event_date_of_shares, a.allocation_id, t.tree
ORDER BY a.experiment_id, a.event_date
"""

# A gateway knows people as its terminal does; who is linked there is the member, whatever the terminal alone has seen.
_USERS: Final = """
WITH known AS (
  SELECT * REPLACE (value::DOUBLE AS value)
  FROM (FROM {features})
  WHERE venue_id = $venue_id
),
linked AS (
  SELECT terminal_user_id, member_user_id FROM venue.clean.identity_map WHERE event_date = $day
)
SELECT k.user_id AS pseudonym, k.* FROM known AS k ANTI JOIN linked AS l ON l.terminal_user_id = k.user_id
UNION ALL
SELECT l.terminal_user_id, k.* FROM known AS k JOIN linked AS l ON l.member_user_id = k.user_id
ORDER BY pseudonym
"""


def _document(
    experiment: Experiment, of: date, allocation_id: str, tree: Mapping[str, Any], rows: list[tuple[int, str, float]]
) -> dict[str, Any]:
    """What the site and the tables say."""
    shares: dict[str, dict[str, float]] = {}
    for leaf, arm, share in rows:
        shares.setdefault(str(leaf), {})[arm] = share
    return {
        "schema": 1,
        "experiment_id": experiment.id,
        "allocation_id": allocation_id,
        "event_date": str(of),
        "unit": experiment.unit,
        "arms": experiment.arms,
        "fixed_shares": list(experiment.shares),
        "floor": experiment.floor,
        # Beyond what a JSON number holds exactly, its digits.
        "seed": experiment.seed if experiment.seed < 2**53 else str(experiment.seed),
        "tree": tree,
        "shares": shares,
    }


def _leaves(con: duckdb.DuckDBPyConnection, tree: str, venue_id: str, day: date, features: str) -> dict[str, Any]:
    """The leaf of each user of the venue, as known at the end of `day`, and of whoever is not known."""
    users = con.sql(_USERS.format(features=features), params={"day": day, "venue_id": venue_id}).pl()
    nobody = users.clear(1).with_columns(
        pl.lit(value).cast(users[name].dtype).alias(name) for name, value in _NEW.items()
    )
    fitted = ConditionalInferenceTree.from_dict(json.loads(tree))
    *leaves, default = map(_one_or_several, leaves_by_moment(fitted, pl.concat([users, nobody]), MOMENTS))
    return {
        "leaf_of_user": dict(zip(users["pseudonym"].to_list(), leaves, strict=True)),
        "default_leaf": default,
    }


def _one_or_several(leaves: list[int]) -> Leaves:
    return leaves[0] if len(leaves) == 1 else leaves


def _holds(path: Path, content: bytes) -> bool:
    return path.exists() and path.read_bytes() == content
