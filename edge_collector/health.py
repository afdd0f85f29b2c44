"""How a gateway is: `/health` for people, `/metrics` for Prometheus; and `/assign` for screens and tills.

On loopback only: whoever may ask is on this machine. What does not belong here: what is counted (`tally`), which arm a
unit gets (`assign`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edge_collector.assign import Assigner, CannotAssign
from edge_collector.clock import Clock
from edge_collector.codecs.entries import MemberNumber
from edge_collector.serving import AtOnce, BodyRefused, read_body
from edge_collector.spool import Depth, Spool, SpoolFull
from edge_collector.tally import Tally

_QUESTION_BYTES = 4096
_QUESTION_SECONDS = 10.0
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Question(BaseModel):
    """What `/assign` is asked."""

    model_config = ConfigDict(extra="forbid", strict=True)

    experiment_id: str
    member_number: MemberNumber = None
    visit: str | None = None


def app(spool: Spool, tally: Tally, clock: Clock, assigner: Assigner, step_seconds: Callable[[], float]) -> Starlette:
    """The ASGI application. `step_seconds` is how far the wall clock has left the monotonic one since the start."""
    registry = CollectorRegistry()
    registry.register(_Figures(spool, tally, clock, step_seconds))

    async def health(_: Request) -> Response:
        depth = await asyncio.to_thread(spool.depth)
        allocations = await asyncio.to_thread(assigner.in_force)  # which may raise an alarm
        now, alarms = clock.now(), dict(tally.alarms)
        devices = {f"{venue}/{device}": round((now - at).total_seconds()) for (venue, device), at in _sorted(tally)}
        content = {
            "status": "alarm" if alarms else "ok",
            "alarms": alarms,
            "gateway_id": spool.gateway_id,
            "boot_id": spool.boot_id,
            "clock_synced": clock.synced(),
            "spool": asdict(depth) | {"oldest": depth.oldest and depth.oldest.isoformat(timespec="seconds")},
            "seconds_since_heard": devices,
            "allocations": allocations,
        }
        return JSONResponse(content, 503 if alarms else 200)

    async def metrics(_: Request) -> Response:
        return Response(await asyncio.to_thread(generate_latest, registry), media_type=_PROMETHEUS)

    async def assign(request: Request) -> Response:
        try:
            question = Question.model_validate_json(await read_body(request, _QUESTION_BYTES, _QUESTION_SECONDS))
            taken = await asyncio.wrap_future(
                assigner.begin(question.experiment_id, question.member_number, question.visit)
            )
        except BodyRefused as error:
            return JSONResponse({"error": str(error)}, error.status)
        except ValidationError as error:
            return JSONResponse({"error": _mistake(error)}, 422)
        except CannotAssign as error:
            return JSONResponse({"error": str(error)}, 422)
        except SpoolFull as error:
            tally.alarms["spool"] = str(error)
            return JSONResponse({"error": str(error)}, 503, {"Retry-After": "30"})
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        return Response(assigner.told(taken), media_type="application/json")

    return Starlette(
        routes=[
            Route("/assign", assign, methods=["POST"]),
            Route("/health", health),
            Route("/metrics", metrics),
        ]
    )


def assign_at_once(assigner: Assigner) -> AtOnce:
    """What `/assign` answers while nobody else is at work in the spool and nothing is wrong: a screen waits."""

    def answer(body: bytes) -> str | None:
        if len(body) > _QUESTION_BYTES:
            return None
        question = Question.model_validate_json(body)
        return assigner.at_once(question.experiment_id, question.member_number, question.visit)

    return answer


def _mistake(error: ValidationError) -> str:
    """What is wrong with a question, without showing any of it."""
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the body'}: {first['msg']}"


def _sorted(tally: Tally) -> list[tuple[tuple[str, str], Any]]:
    return sorted(tally.last_seen.items())


class _Figures:
    """The tally and the spool as Prometheus metrics, read when they are asked for."""

    def __init__(self, spool: Spool, tally: Tally, clock: Clock, step_seconds: Callable[[], float]) -> None:
        self._spool, self._tally, self._clock, self._step_seconds = spool, tally, clock, step_seconds

    def collect(self) -> Iterable[Metric]:
        tally, depth = self._tally, self._spool.depth()
        captured = CounterMetricFamily("edge_records", "Records captured", labels=["source", "stream"])
        for (source, stream), n in sorted(tally.captured.items()):
            captured.add_metric([source, stream], n)
        refused = CounterMetricFamily("edge_refused", "Readings left out", labels=["source", "reason"])
        for (source, reason), n in sorted(tally.refused.items()):
            refused.add_metric([source, reason], n)
        people = CounterMetricFamily("edge_people", "People counted", labels=["stream", "way"])
        for (stream, way), n in sorted(tally.people.items()):
            people.add_metric([stream, way], n)
        shipped = CounterMetricFamily("edge_shipped_rows", "Rows confirmed by the landing", labels=["stream"])
        for stream, n in sorted(tally.shipped.items()):
            shipped.add_metric([stream], n)
        seen = GaugeMetricFamily("edge_last_seen_timestamp_seconds", "Last heard", labels=["venue", "device"])
        for (venue, device), at in _sorted(tally):
            seen.add_metric([venue, device], at.timestamp())
        battery = GaugeMetricFamily("edge_battery_percent", "Battery", labels=["venue", "device"])
        for (venue, device), percent in sorted(tally.battery.items()):
            battery.add_metric([venue, device], percent)
        yield from (captured, people, refused, shipped, seen, battery, *self._gauges(depth))

    def _gauges(self, depth: Depth) -> Iterable[Metric]:
        age = 0.0 if depth.oldest is None else max(0.0, (self._clock.now() - depth.oldest).total_seconds())
        for name, text, value in (
            ("edge_spool_records", "Records not sealed yet", depth.records),
            ("edge_spool_segments", "Segments not confirmed yet", depth.segments),
            ("edge_spool_segment_rows", "Rows in these segments", depth.segment_rows),
            ("edge_spool_refused_segments", "Segments that the landing does not take", depth.refused_segments),
            ("edge_spool_bytes", "Bytes in the spool", depth.bytes),
            ("edge_spool_oldest_seconds", "Age of the oldest record that is not sealed", age),
            ("edge_clock_synced", "Whether the wall clock follows a time source", int(self._clock.synced())),
            ("edge_clock_step_seconds", "How far the wall clock was set since the start", self._step_seconds()),
            ("edge_alarms", "What somebody has to see to", len(self._tally.alarms)),
        ):
            yield GaugeMetricFamily(name, text, value)


__all__ = ["Question", "Tally", "app", "assign_at_once"]
