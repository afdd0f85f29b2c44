"""Allocations: the signed file that tells a gateway, for one event date, the shares of a bandit's arms by group.

The file is canonical JSON (`canonical_json`) of the fields of `Allocation`, and `signature`: Ed25519, in base64, over
the canonical JSON of all other fields. A gateway holds the public key beforehand; one that came with the file proves
nothing.

A unit's group is a leaf of the tree. What is known of a visitor went into `leaf_of_user` at the end of the date before;
only the moment (weekday, hour) is looked at here. Where the moment decides between leaves, `leaf_of_user` has
the list of those that the visitor can come to, and the tree is walked: down the side of the moment, or to the only side
on which one of these leaves lies.

What does not belong here: how a unit is given an arm by its shares (`assignment`), and who computes shares.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge_collector.canonical_json import canonical
from edge_collector.settings import Day

_SUM_TOLERANCE: Final = 1e-9
MOMENTS: Final = ("weekday", "hour")
"""Covariates of the moment that differ between the units of an allocation; the venue is always the same."""

Leaves = int | list[int]
"""One leaf, or those between which the moment decides."""


class AllocationProblem(ValueError):
    """A file that no gateway may act on. The message says why."""


class _Part(BaseModel):
    # Unknown fields are ignored: the signature covers them, and a later schema may have more.
    model_config = ConfigDict(frozen=True)


class TreeSplit(_Part):
    """Where a node's units go: x <= `cut` to the first child. Covariates of a user may have levels, not read here."""

    column: str
    cut: float | str | None


class TreeNode(_Part):
    """A node of the tree; a leaf has no split and no children."""

    id: int
    split: TreeSplit | None
    children: list[int]


class Tree(_Part):
    """As much of a conditional inference tree as it takes to find a leaf; nodes in preorder, ids from 1."""

    nodes: Annotated[list[TreeNode], Field(min_length=1)]

    @model_validator(mode="after")
    def _is_a_tree(self) -> Tree:
        for position, node in enumerate(self.nodes, start=1):
            later = all(position < child <= len(self.nodes) for child in node.children)
            if node.id != position or not later or len(node.children) != (2 if node.split else 0):
                raise ValueError(f"node {node.id} does not fit into the tree")
            if node.split and node.split.column in MOMENTS and not isinstance(node.split.cut, float):
                raise ValueError(f"node {node.id} splits {node.split.column} by {node.split.cut!r}, not by a number")
        return self

    @cached_property
    def leaves_below(self) -> Mapping[int, frozenset[int]]:
        """The leaves that each node leads to."""
        below: dict[int, frozenset[int]] = {}
        for node in reversed(self.nodes):
            below[node.id] = frozenset([node.id]).union(*(below[c] for c in node.children)) - (
                {node.id} if node.children else set()
            )
        return below

    def leaf_of(self, possible: Leaves, moment: Mapping[str, float]) -> int:
        """The leaf, of the possible ones, that the moment leads to."""
        if isinstance(possible, int):
            return possible
        node = self.nodes[0]
        while node.split is not None:
            if node.split.column in moment:
                assert isinstance(node.split.cut, float)
                first = moment[node.split.column] <= node.split.cut
            else:
                first = not self.leaves_below[node.children[0]].isdisjoint(possible)
            node = self.nodes[node.children[0 if first else 1] - 1]
        return node.id


class Allocation(_Part):
    """The shares of one experiment on one event date."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    experiment_id: str
    allocation_id: str
    event_date: Day
    unit: Literal["user", "visit"]
    arms: Annotated[list[str], Field(min_length=2)]
    fixed_shares: list[float]
    floor: float
    seed: int
    tree: Tree
    shares: dict[int, dict[str, float]]
    """By leaf and arm."""
    leaf_of_user: dict[str, Leaves]
    """By pseudonym, as terminals know it."""
    default_leaf: Leaves
    """Of whoever is not known."""

    @model_validator(mode="after")
    def _fits_together(self) -> Allocation:
        leaves = self.tree.leaves_below[1]
        if set(self.shares) != leaves:
            raise ValueError(f"shares are given of the leaves {sorted(self.shares)}, the tree has {sorted(leaves)}")
        for leaf, shares in self.shares.items():
            _expect_shares(f"leaf {leaf}", [shares[arm] for arm in self.arms if arm in shares], self.arms)
        _expect_shares("fixed_shares", self.fixed_shares, self.arms)
        for who, found in (("default_leaf", self.default_leaf), *self.leaf_of_user.items()):
            known = leaves.issuperset([found] if isinstance(found, int) else found)
            if not known or not (isinstance(found, int) or found):
                raise ValueError(f"{who} leads to the unknown leaf {found}; leaves are {sorted(leaves)}")
        return self

    def leaf_of(self, user_id: str | None, local_time: datetime) -> int:
        """The leaf of a unit that comes at this local time of the venue, on this allocation's event date."""
        known = self.default_leaf if user_id is None else self.leaf_of_user.get(user_id, self.default_leaf)
        # The weekday is that of the event date, also after midnight.
        return self.tree.leaf_of(known, {"weekday": self.event_date.isoweekday(), "hour": local_time.hour})


@dataclass(frozen=True)
class SharesInForce:
    """What holds for one unit, and what its record says: leaf and allocation, both None under the fixed shares."""

    shares: tuple[float, ...]
    leaf_id: int | None = None
    allocation_id: str | None = None
    remark: str = ""
    """Why the fixed shares hold; empty while the allocation does."""


def shares_in_force(
    allocation: Allocation | None,
    fixed_shares: Sequence[float],
    *,
    today: date,
    user_id: str | None,
    local_time: datetime,
) -> SharesInForce:
    """The shares of a unit on event date `today`: the allocation's if it is for that date, else the fixed ones."""
    if allocation is None:
        return SharesInForce(tuple(fixed_shares), remark="there is no allocation")
    if allocation.event_date != today:
        age = "stale" if allocation.event_date < today else "not in force yet"
        remark = f"the allocation is {age}: it is for {allocation.event_date}, today is {today}"
        return SharesInForce(tuple(fixed_shares), remark=remark)
    leaf = allocation.leaf_of(user_id, local_time)
    return SharesInForce(tuple(allocation.shares[leaf][arm] for arm in allocation.arms), leaf, allocation.allocation_id)


def path_of(folder: Path, experiment_id: str, event_date: date) -> Path:
    """Where in a folder of allocations the file of an experiment's event date lies."""
    return folder / experiment_id / f"{event_date}.json"


def signed(document: Mapping[str, Any], key: Ed25519PrivateKey) -> bytes:
    """The content of the file. Signing the same document again gives the same bytes."""
    signature = b64encode(key.sign(canonical(dict(document)))).decode()
    return canonical({**document, "signature": signature})


def verified(content: bytes, key: Ed25519PublicKey) -> Allocation:
    """The allocation in a file's content. Raises AllocationProblem unless the key signed it and it fits together."""
    try:
        document = json.loads(content)
        signature = b64decode(document.pop("signature"), validate=True)
        key.verify(signature, canonical(document))
    except InvalidSignature:
        raise AllocationProblem("the signature is not of this content and key; fetch the file anew") from None
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        raise AllocationProblem("this is no signed allocation: JSON with a signature is expected") from None
    try:
        return Allocation.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise AllocationProblem(f"this allocation cannot be used: {where}: {first['msg']}") from None


def read_allocation(folder: Path, experiment_id: str, event_date: date, key: Ed25519PublicKey) -> Allocation | None:
    """The allocation of an event date; None where there is no file. Raises AllocationProblem."""
    try:
        content = path_of(folder, experiment_id, event_date).read_bytes()
    except FileNotFoundError:
        return None
    found = verified(content, key)
    if (found.experiment_id, found.event_date) != (experiment_id, event_date):
        raise AllocationProblem(
            f"the file of {experiment_id} on {event_date} holds {found.experiment_id} on {found.event_date}"
        )
    return found


def read_newest(folder: Path, experiment_id: str, today: date, key: Ed25519PublicKey) -> Allocation | None:
    """The allocation of `today`, else the newest one before it, which is stale; None where there is neither.

    Raises AllocationProblem for a file of `today` that nobody may act on.
    """
    if (found := read_allocation(folder, experiment_id, today, key)) is not None:
        return found
    for day in reversed(days_of(folder, experiment_id)):
        if day < today:
            with suppress(AllocationProblem):
                return read_allocation(folder, experiment_id, day, key)
    return None


def days_of(folder: Path, experiment_id: str) -> list[date]:
    """The event dates of which there are files, whatever is in them, in order."""
    days = []
    for path in (folder / experiment_id).glob("????-??-??.json"):
        with suppress(ValueError):
            days.append(date.fromisoformat(path.stem))
    return sorted(days)


def _expect_shares(where: str, shares: Sequence[float], arms: Sequence[str]) -> None:
    if len(shares) != len(arms) or min(shares) < 0 or abs(sum(shares) - 1) > _SUM_TOLERANCE:
        raise ValueError(f"{where}: one share per arm of {list(arms)} is expected, adding up to 1")
