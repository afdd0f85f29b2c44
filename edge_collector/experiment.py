"""An experiment as `site.toml` describes it: what is tried on whom, when, and what shall decide.

What does not belong here: how experiments stand to venues, activities and each other (`edge_collector.site`), and how
they are judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from edge_collector.settings import Day, Entry, Id, Name, Number, Whole

Kind = Literal["randomised", "bandit", "before_after"]
Unit = Literal["user", "visit", "venue_day"]
VisitorCovariate = Literal[
    "recency_days",
    "frequency",
    "value",
    "segment",
    "visits",
    "mean_dwell_seconds",
    "usual_hour",
    "usual_weekday",
    "category",
]
"""What is known of a visitor at the end of the date before."""
MomentCovariate = Literal["venue_id", "weekday", "hour"]
"""What only the moment of the assignment tells; the gateway evaluates it itself."""

KPIS: Final[Mapping[Unit, tuple[str, ...]]] = {
    "visit": ("conversion", "amount", "orders", "dwell_seconds"),
    "user": ("conversion", "amount", "orders", "visits", "dwell_seconds"),
    "venue_day": ("gmv", "pv", "uv", "ocr", "completed_orders", "paying_users", "lov_mean_seconds"),
}
"""What can be measured on each unit."""
_FRACTIONS: Final = ("conversion", "ocr")
_LONGEST_REWARD_DAYS: Final = 365
LONGEST_HISTORY_DAYS: Final = 90
"""So far back before an experiment the inputs of its tree are read."""
_SUM_TOLERANCE: Final = 1e-9


def _folder(name: str) -> str:
    if name.startswith("."):
        raise ValueError("a name that does not begin with '.' is expected, because it is a folder of allocations")
    return name


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _different(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise ValueError("each of them only once is expected")
    return values


def _history(days: int) -> int:
    if days > LONGEST_HISTORY_DAYS:
        raise ValueError(f"at most {LONGEST_HISTORY_DAYS} is expected, because nothing older is read for the groups")
    return days


def _arms(values: list[str]) -> list[str]:
    if len(values) < 2:
        raise ValueError("two arms or more are expected, the control first")
    return _different(values)


class Experiment(Entry):
    """A test of variants ("arms", the control first) at one venue, decided by one analysis on its first KPI.

    What only a bandit uses (exploration, floor, reward_bound, refit_days, target, history_days, learn_from) may
    stand in the others without effect, so that a test becomes a bandit by one word.
    """

    # A field is checked against those above it, where these are right: so all mistakes are told at once.
    id: Annotated[Name, AfterValidator(_folder)]
    venue_id: str | None = None
    activity_id: Annotated[str | None, Field(validate_default=True)] = None
    kind: Kind
    unit: Unit
    arms: Annotated[list[Id], AfterValidator(_arms)]
    kpi: Annotated[list[Id], BeforeValidator(_listed), AfterValidator(_different)]
    alpha: Annotated[Number, Field(gt=0, lt=1)] = 0.05
    power: Annotated[Number, Field(gt=0, lt=1, validate_default=True)] = 0.8
    minimum_effect: Annotated[Number, Field(gt=0)]
    """Absolute, in the unit of the first KPI."""
    reward_days: Annotated[Whole, Field(ge=0, le=_LONGEST_REWARD_DAYS)] = 0
    """How many days after the assignment still count for a user."""
    first_date: Day
    last_date: Day
    """The last date of assignments."""
    changed_on: Annotated[Day | None, Field(validate_default=True)] = None
    """The first date of the second arm of a before_after comparison."""
    fixed_shares: list[Annotated[Number, Field(gt=0)]] | None = None
    """Per arm: of a randomised test, and of a bandit while it has no allocation; equal unless given."""
    seed: Annotated[Whole, Field(ge=0, lt=2**63)] = 1
    covariates: Annotated[list[Literal[VisitorCovariate, MomentCovariate]], AfterValidator(_different)] = Field(
        default_factory=list
    )
    exploration: Annotated[Number, Field(ge=0)] = 0.3
    floor: Annotated[Number, Field(ge=0, validate_default=True)] = 0.05
    """The share that no arm falls below."""
    reward_bound: Annotated[Annotated[Number, Field(gt=0)] | None, Field(validate_default=True)] = None
    """The reward that counts as 1 to a bandit."""
    refit_days: Annotated[Whole, Field(ge=1)] | None = None
    """Days between two fittings of the tree; fitted once, before the first date, unless given."""
    target: Literal["reward", "effect"] = "reward"
    """Whether the tree looks for groups that differ in level, or in what the arms do to them."""
    history_days: Annotated[Whole, Field(ge=1), AfterValidator(_history)] = LONGEST_HISTORY_DAYS
    """How far before the first date the tree's training history reaches."""
    learn_from: Id | None = None
    """The id of an earlier test of the same arms, whose units in the history tell the effects before the first date."""

    @property
    def primary_kpi(self) -> str:
        """The KPI that decides."""
        return self.kpi[0]

    @property
    def matures_on(self) -> date:
        """The date at whose end the last unit's reward is complete."""
        return self.last_date + timedelta(days=self.reward_days)

    @property
    def shares(self) -> tuple[float, ...]:
        """The fixed share of each arm."""
        return tuple(self.fixed_shares or [1 / len(self.arms)] * len(self.arms))

    def arm_dates(self, position: int) -> tuple[date, date]:
        """The first and last date on which the arm is given: the experiment's, unless arms follow each other."""
        if self.changed_on is None:
            return self.first_date, self.last_date
        before_and_after = (self.first_date, self.changed_on - timedelta(days=1)), (self.changed_on, self.last_date)
        return before_and_after[position]

    @field_validator("activity_id")
    @classmethod
    def _one_place(cls, activity_id: str | None, info: ValidationInfo) -> str | None:
        if "venue_id" in info.data and (activity_id is None) == (info.data["venue_id"] is None):
            raise ValueError("exactly one of venue_id and activity_id is expected")
        return activity_id

    @field_validator("unit")
    @classmethod
    def _unit_of_kind(cls, unit: Unit, info: ValidationInfo) -> Unit:
        kind = info.data.get("kind")
        if kind == "before_after" and unit != "venue_day":
            raise ValueError('"venue_day" is expected with kind = "before_after", because its arms go by the date')
        if kind == "bandit" and unit == "venue_day":
            # One unit a date leaves nothing to share out, and weeks pass before a mean says anything.
            raise ValueError('"user" or "visit" is expected with kind = "bandit"; switch days with kind = "randomised"')
        return unit

    @field_validator("arms")
    @classmethod
    def _arms_of_kind(cls, arms: list[str], info: ValidationInfo) -> list[str]:
        if info.data.get("kind") == "before_after" and len(arms) != 2:
            raise ValueError('two arms are expected with kind = "before_after": what was, and what came')
        return arms

    @field_validator("kpi")
    @classmethod
    def _kpi_of_unit(cls, kpis: list[str], info: ValidationInfo) -> list[str]:
        unit: Unit | None = info.data.get("unit")
        for allowed in [KPIS[unit]] if unit else []:
            if not kpis or not set(kpis) <= set(allowed):
                raise ValueError(f'one or more of {sorted(allowed)} are expected with unit = "{unit}"')
        return kpis

    @field_validator("power")
    @classmethod
    def _power_above_chance(cls, power: float, info: ValidationInfo) -> float:
        # A test that finds an effect no more often than it errs without one would need no samples at all.
        if power <= info.data.get("alpha", 0):
            raise ValueError(f"more than alpha ({info.data['alpha']}) is expected")
        return power

    @field_validator("minimum_effect")
    @classmethod
    def _effect_of_a_fraction(cls, effect: float, info: ValidationInfo) -> float:
        kpi = next(iter(info.data.get("kpi", ())), None)
        if kpi in _FRACTIONS and effect >= 1:
            raise ValueError(f"less than 1 is expected, because {kpi} is a fraction (0.02 is two points of a hundred)")
        return effect

    @field_validator("reward_days")
    @classmethod
    def _only_users_mature(cls, days: int, info: ValidationInfo) -> int:
        if days and info.data.get("unit") in ("visit", "venue_day"):
            raise ValueError(f'0 is expected with unit = "{info.data["unit"]}"; only the reward of a user takes days')
        return days

    @field_validator("last_date")
    @classmethod
    def _dates_in_order(cls, last_date: date, info: ValidationInfo) -> date:
        if last_date < (first_date := info.data.get("first_date", last_date)):
            raise ValueError(f"{first_date} or later is expected")
        return last_date

    @field_validator("changed_on")
    @classmethod
    def _changed_once(cls, changed_on: date | None, info: ValidationInfo) -> date | None:
        kind, first, last = (info.data.get(name) for name in ("kind", "first_date", "last_date"))
        if changed_on is not None and kind in ("randomised", "bandit"):
            raise ValueError('it belongs to kind = "before_after" only')
        if kind == "before_after" and first and last and (changed_on is None or not first < changed_on <= last):
            raise ValueError(f"a date after {first} and not after {last} is expected, the first one of the second arm")
        return changed_on

    @field_validator("fixed_shares")
    @classmethod
    def _whole_traffic(cls, shares: list[float] | None, info: ValidationInfo) -> list[float] | None:
        if shares is None:
            return None
        if info.data.get("kind") == "before_after":
            raise ValueError('none are expected with kind = "before_after", because its arms go by the date')
        arms = len(info.data.get("arms", shares))
        if len(shares) != arms or abs(sum(shares) - 1) > _SUM_TOLERANCE:
            raise ValueError(f"{arms} shares that add up to 1 are expected, one per arm")
        return shares

    @field_validator("covariates")
    @classmethod
    def _visitors_have_covariates(cls, covariates: list[str], info: ValidationInfo) -> list[str]:
        if covariates and info.data.get("unit") == "venue_day":
            raise ValueError('none are expected with unit = "venue_day", because a day is not one visitor')
        return covariates

    @field_validator("floor")
    @classmethod
    def _floors_fit(cls, floor: float, info: ValidationInfo) -> float:
        arms = len(info.data.get("arms", ()))
        if arms * floor > 1 + _SUM_TOLERANCE:
            raise ValueError(f"at most 1/{arms} is expected, because each of {arms} arms gets it")
        return floor

    @field_validator("reward_bound")
    @classmethod
    def _rewards_have_a_bound(cls, bound: float | None, info: ValidationInfo) -> float | None:
        if info.data.get("kind") != "bandit" or not info.data.get("kpi"):
            return bound
        kpi = info.data["kpi"][0]
        if kpi == "conversion" and bound is not None:
            raise ValueError("none is expected with conversion, which is 0 or 1")
        if kpi != "conversion" and bound is None:
            raise ValueError(f"a bandit needs the {kpi} that counts as 1")
        return bound

    @field_validator("learn_from")
    @classmethod
    def _effects_are_learned(cls, learn_from: str | None, info: ValidationInfo) -> str | None:
        # Groups of level come from visits without any arm.
        if learn_from is not None and (info.data.get("kind"), info.data.get("target")) == ("bandit", "reward"):
            raise ValueError('it belongs to target = "effect" only')
        return learn_from
