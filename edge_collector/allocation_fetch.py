"""Fetching allocations: the newest signed shares of each bandit, kept beside the spool, so that they hold off line.

A file that is not signed by the key of edge.toml is never kept. One that cannot be fetched changes nothing: the last
one holds for its date, then the fixed shares do.

What does not belong here: what the file says (`allocation`), who is given which arm (`assign`).
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from datetime import date, timedelta
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge_collector.allocation import AllocationProblem, days_of, path_of, verified
from edge_collector.clock import Clock
from edge_collector.durable import make_folder, write_atomically
from edge_collector.event_time import event_date
from edge_collector.gateway import Gateway
from edge_collector.key_file import KeyProblem
from edge_collector.own_thread import in_own_thread
from edge_collector.people import private_text
from edge_collector.tally import Tally

_log = logging.getLogger(__name__)
_TIMEOUT = httpx.Timeout(30, connect=10)
_KEPT_DAYS = 7


class AllocationFetcher:
    """Brings the files of today and tomorrow into `folder`."""

    def __init__(self, gateway: Gateway, folder: Path, key: Ed25519PublicKey, clock: Clock, tally: Tally) -> None:
        self._gateway, self._folder, self._key, self._clock, self._tally = gateway, folder, key, clock, tally

    async def fetch(self) -> int:
        """Fetch what is new; returns the number of files written."""
        written = 0
        for experiment_id, days in self._wanted():
            problems = []
            for day in days:
                try:
                    content = await allocation_file(self._gateway, experiment_id, day)
                    if content is not None:
                        written += await asyncio.to_thread(self._keep, experiment_id, day, content)
                except (AllocationProblem, KeyProblem) as problem:
                    problems.append(f"{day}: {problem}")
                except (OSError, httpx.HTTPError, httpx.InvalidURL) as error:
                    _log.warning(
                        "no allocation of %s for %s could be fetched: %s",
                        experiment_id,
                        day,
                        error or type(error).__name__,
                    )
            subject = f"fetched allocation {experiment_id}"
            if problems:
                self._tally.alarms[subject] = "; ".join(problems)
            else:
                self._tally.alarms.pop(subject, None)
        try:
            await asyncio.to_thread(self._forget)
        except OSError as error:
            _log.warning("old allocations stay: %s", error)
        return written

    def _wanted(self) -> list[tuple[str, tuple[date, ...]]]:
        found = []
        venues = {known.venue.id for known in self._gateway.devices if known.device.stream == "assignments"}
        for experiment in self._gateway.site.experiments:
            venue = self._gateway.site.venue_of(experiment)
            today = event_date(self._clock.now(), venue.time_zone, venue.day_starts_at)
            days = [today, today + timedelta(days=1)]
            due = tuple(day for day in days if experiment.first_date <= day <= experiment.last_date)
            if experiment.kind == "bandit" and venue.id in venues and due:
                found.append((experiment.id, due))
        return found

    def _keep(self, experiment_id: str, day: date, content: bytes) -> bool:
        """Whether it was new. Raises AllocationProblem for what nobody may act on."""
        found = verified(content, self._key)
        if (found.experiment_id, found.event_date) != (experiment_id, day):
            raise AllocationProblem(f"it holds {found.experiment_id} on {found.event_date}")
        path = path_of(self._folder, experiment_id, day)
        if path.exists() and path.read_bytes() == content:
            return False
        make_folder(path.parent)
        write_atomically(path, content)
        return True

    def _forget(self) -> None:
        """Drop what has not been in force for a week; not the last one, of which is said that it is stale."""
        oldest = (self._clock.now().date() - timedelta(days=_KEPT_DAYS)).isoformat()
        for folder in self._folder.glob("*"):
            for path in sorted(folder.glob("????-??-??.json"))[:-1]:
                if path.stem < oldest:
                    path.unlink(missing_ok=True)


async def allocation_file(gateway: Gateway, experiment_id: str, day: date | None) -> bytes | None:
    """The file of an event date (None: the newest) as the source of edge.toml has it; None where it has none.

    Raises KeyProblem, OSError, httpx.HTTPError, httpx.InvalidURL.
    """
    assert gateway.settings.allocations is not None
    source, landing = gateway.settings.allocations.source, gateway.settings.landing
    if not source.startswith(("https://", "http://")):
        folder = gateway.file(source.removeprefix("file://"))
        return await in_own_thread(lambda: _in_folder(folder, experiment_id, day))
    token = private_text(gateway.file(landing.token_file)).strip() if landing.token_file else ""
    context = ssl.create_default_context(cafile=gateway.file(landing.ca_file) if landing.ca_file else None)
    async with httpx.AsyncClient(verify=context, timeout=_TIMEOUT, trust_env=False) as client:
        answer = await client.get(
            f"{source.rstrip('/')}/allocations/{experiment_id}",
            params={} if day is None else {"event_date": day.isoformat()},
            headers={"Authorization": f"Bearer {token}"},
        )
    if answer.status_code == 404:
        return None
    if answer.status_code in (401, 403):
        raise PermissionError(f"{source} does not take the token of landing.token_file")
    if answer.status_code != 200:
        raise OSError(f"{source} answers {answer.status_code}")
    return answer.content


def _in_folder(folder: Path, experiment_id: str, day: date | None) -> bytes | None:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder")
    if day is None and (days := days_of(folder, experiment_id)):
        day = days[-1]
    try:
        return None if day is None else path_of(folder, experiment_id, day).read_bytes()
    except FileNotFoundError:
        return None
