"""Where everything of one installation lies: the folder that VENUE_DATA names. Paths, and the site file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from edge_collector.site import Site, load_site

VARIABLE = "VENUE_DATA"


@dataclass(frozen=True)
class Home:
    """One data folder: `site.toml`, `landing/`, `lake/`, `published/`, `dagster/` and what belongs to them."""

    root: Path

    @classmethod
    def of_environment(cls, default: str = "data") -> Home:
        """The folder that VENUE_DATA names, else `default` below the current folder."""
        return cls(Path(os.environ.get(VARIABLE) or default).absolute())

    @property
    def site_file(self) -> Path:
        return self.root / "site.toml"

    @property
    def landing(self) -> Path:
        return self.root / "landing"

    @property
    def lake(self) -> Path:
        return self.root / "lake"

    @property
    def published(self) -> Path:
        return self.root / "published"

    @property
    def dagster(self) -> Path:
        return self.root / "dagster"

    @property
    def pseudonym_key(self) -> Path:
        """The key file of pseudonyms: beside the lake, never in it."""
        return self.root / "pseudonym.key"

    @property
    def allocation_key(self) -> Path:
        """The private key that signs allocations: beside the lake and what is published, never in it."""
        return self.root / "allocation.key"

    @cached_property
    def site(self) -> Site:
        """The site file, checked. Raises SiteError or FileNotFoundError."""
        return load_site(self.site_file)
