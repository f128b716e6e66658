"""Waits until every service of a mesh is ready, or reports which one is not and why."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, cast

import httpx
from service_kit.addresses import authority, reachable_host
from service_kit.errors import PeerFailed

from anchor_cli.mesh.programs import Program
from anchor_cli.mesh.supervisor_client import ProgramState

POLL_S = 0.1
# The stage of a program that runs without its model; see `Program.optional`.
FAILED = "failed"
# A program with more starts than this before it was ready counts as failed.
MAX_STARTS = 2


@dataclass(frozen=True, slots=True)
class ServiceState:
    """Progress of one service. `stage` is "starting" (no answer yet) or the status from `/ready`."""

    stage: str = "starting"
    engine: str = ""
    model: str = ""
    reason: str = ""
    ready_after_s: float | None = None


# Receives the states of all services, by name, on every change.
ShowStates = Callable[[Mapping[str, ServiceState]], None]


class ProgramStates(Protocol):
    """Source of the supervisor's program states."""

    async def fetch_states(self) -> list[ProgramState]: ...


@dataclass(slots=True)
class StartCounter:
    """Counts the starts of each program from the supervisor's repeated reports."""

    _seen: dict[str, set[int]] = field(default_factory=dict[str, set[int]])

    def find_failed(self, states: Iterable[ProgramState]) -> ProgramState | None:
        """The first program that is FATAL or was started too often; None otherwise."""
        for state in states:
            starts = self._seen.setdefault(state.name, set())
            if state.started_at_s:
                starts.add(state.started_at_s)
            if state.state == "FATAL" or len(starts) > MAX_STARTS:
                return state
        return None


async def wait_until_ready(
    members: Iterable[Program],
    supervisor: ProgramStates,
    within_s: float,
    show: ShowStates,
) -> Mapping[str, ServiceState]:
    """Poll every service until all are ready; `show` receives each change.

    Raises `PeerFailed` (`mesh.service_failed`, `mesh.start_timeout`) with a message that begins with the service's
    name.
    """
    began_s = time.monotonic()
    members = list(members)
    states = {member.name: ServiceState() for member in members}
    optional = {member.name for member in members if member.optional}
    starts = StartCounter()
    show(states)
    async with httpx.AsyncClient(timeout=2.0) as http:
        while True:
            waiting = [member for member in members if not _is_settled(member, states[member.name])]
            if not waiting:
                return states
            given_up = optional - {member.name for member in waiting}
            reported = await _read_states(supervisor)
            if failed := starts.find_failed(state for state in reported if state.name not in given_up):
                why = failed.reason or f"it ended {MAX_STARTS} times before it was ready"
                if failed.name not in optional:
                    raise PeerFailed("mesh.service_failed", f"{failed.name} does not start: {why}")
                states = {**states, failed.name: ServiceState(FAILED, reason=why)}
                show(states)
                waiting = [member for member in waiting if member.name != failed.name]
            now_s = time.monotonic() - began_s
            if now_s > within_s:
                late = "; ".join(f"{m.name} is {states[m.name].stage} {states[m.name].reason}".strip() for m in waiting)
                raise PeerFailed("mesh.start_timeout", f"{late}, after {within_s:.0f} s")
            asked = await asyncio.gather(*(_fetch_readiness(http, member, now_s) for member in waiting))
            changed = {**states, **{member.name: state for member, state in zip(waiting, asked, strict=True)}}
            if changed != states:
                states = changed
                show(states)
            await asyncio.sleep(POLL_S)


def _is_settled(member: Program, state: ServiceState) -> bool:
    return state.ready_after_s is not None or (member.optional and state.stage == FAILED)


async def _read_states(supervisor: ProgramStates) -> list[ProgramState]:
    try:
        return await supervisor.fetch_states()
    except httpx.HTTPError:
        # The socket opens shortly after the supervisor starts; its death is detected by its exit status.
        return []


async def _fetch_readiness(http: httpx.AsyncClient, member: Program, now_s: float) -> ServiceState:
    try:
        response = await http.get(
            f"http://{authority(reachable_host(member.host), member.http_port)}{member.ready_path}"
        )
        body = cast("dict[str, object]", response.json())
    except (httpx.HTTPError, ValueError):
        return ServiceState()
    stage, engine, model, reason = (str(body.get(name, "")) for name in ("status", "engine", "model", "reason"))
    if member.ready_path != "/ready":
        # Another program's health: it has no name of an engine, and no stage while it loads.
        stage = "ready" if response.status_code == 200 else stage or "loading"
    return ServiceState(stage, engine, model, reason, now_s if response.status_code == 200 else None)
