"""Which allocation file a gateway gets: those of experiments at venues where it has a device, and no others.

A file names visitors by pseudonym; a gateway has no business with those of venues where it does not stand.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date

from edge_collector.allocation import path_of
from edge_collector.site import Site, load_site
from venue_assets.home import Home
from venue_assets.publish.allocations import ALLOCATIONS


@dataclass(frozen=True)
class Found:
    """An allocation file as it is published, and what tells it from another."""

    content: bytes
    etag: str


class Allocations:
    """The published allocations of a home, and its site as the file says now."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._stamp: tuple[int, ...] | None = None
        self._site: Site | None = None

    def find(self, gateway_id: str, experiment_id: str, event_date: date | None) -> Found | None:
        """The file of that event date, or the newest; None where this gateway is to get none.

        Raises SiteError, FileNotFoundError where there is no site file.
        """
        if experiment_id not in self._experiments_of(gateway_id):
            return None
        root = self._home.published / ALLOCATIONS
        if event_date is None:
            # ISO dates, so the last by name is the newest.
            path = max((root / experiment_id).glob("*.json"), default=None)
        else:
            path = path_of(root, experiment_id, event_date)
        try:
            content = path.read_bytes() if path else None
        except FileNotFoundError:
            return None
        return None if content is None else Found(content, f'"{hashlib.sha256(content).hexdigest()[:32]}"')

    def _experiments_of(self, gateway_id: str) -> set[str]:
        site = self._current_site()
        venues = {device.venue_id for device in site.devices if device.gateway_id == gateway_id}
        return {experiment.id for experiment in site.experiments if site.venue_of(experiment).id in venues}

    def _current_site(self) -> Site:
        status = self._home.site_file.stat()
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        if self._site is None or stamp != self._stamp:
            self._site, self._stamp = load_site(self._home.site_file), stamp
        return self._site
