"""Waiting until every service of a mesh is ready, or telling which one is not, and why."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, cast

import httpx
from service_kit.errors import PeerFailed

from anchor_cli.mesh.programs import Program
from anchor_cli.mesh.supervisor_client import ProgramState

POLL_S = 0.1
# A program that had to be started this often before it was ready once will not come up by waiting.
STARTS_ALLOWED = 2


@dataclass(frozen=True, slots=True)
class ServiceState:
    """A service on its way up: `stage` is "starting" (no answer yet), or what `/ready` says."""

    stage: str = "starting"
    engine: str = ""
    model: str = ""
    reason: str = ""
    ready_after_s: float | None = None


# Gets the states of all services, by name, at every change.
Show = Callable[[Mapping[str, ServiceState]], None]


class ProgramStates(Protocol):
    """Who knows how often a program was started."""

    async def states(self) -> list[ProgramState]: ...


@dataclass(slots=True)
class StartCount:
    """Counts starts of programs from what the supervisor says of them, again and again."""

    _seen: dict[str, set[int]] = field(default_factory=dict[str, set[int]])

    def given_up(self, states: Iterable[ProgramState]) -> ProgramState | None:
        """The first program that will not come up, if there is one."""
        for state in states:
            starts = self._seen.setdefault(state.name, set())
            if state.started_at_s:
                starts.add(state.started_at_s)
            if state.state == "FATAL" or len(starts) > STARTS_ALLOWED:
                return state
        return None


async def wait_until_ready(
    members: Iterable[Program],
    host: str,
    supervisor: ProgramStates,
    within_s: float,
    show: Show,
) -> Mapping[str, ServiceState]:
    """Ask every service until all are ready; `show` gets each change.

    Raises `PeerFailed` (`mesh.service_failed`, `mesh.start_timeout`); the message begins with the service's name.
    """
    began_s = time.monotonic()
    members = list(members)
    states = {member.name: ServiceState() for member in members}
    starts = StartCount()
    show(states)
    async with httpx.AsyncClient(timeout=2.0) as http:
        while True:
            waiting = [member for member in members if states[member.name].ready_after_s is None]
            if not waiting:
                return states
            if failed := starts.given_up(await _states_of(supervisor)):
                why = failed.reason or f"it ended {STARTS_ALLOWED} times before it was ready"
                raise PeerFailed("mesh.service_failed", f"{failed.name} does not come up: {why}")
            now_s = time.monotonic() - began_s
            if now_s > within_s:
                late = "; ".join(f"{m.name} is {states[m.name].stage} {states[m.name].reason}".strip() for m in waiting)
                raise PeerFailed("mesh.start_timeout", f"{late}, after {within_s:.0f} s")
            asked = await asyncio.gather(*(_ask(http, host, member, now_s) for member in waiting))
            changed = {**states, **{member.name: state for member, state in zip(waiting, asked, strict=True)}}
            if changed != states:
                states = changed
                show(states)
            await asyncio.sleep(POLL_S)


async def _states_of(supervisor: ProgramStates) -> list[ProgramState]:
    try:
        return await supervisor.states()
    except httpx.HTTPError:
        # Its socket opens a moment after its start; that it died is told by its exit, not from here.
        return []


async def _ask(http: httpx.AsyncClient, host: str, member: Program, now_s: float) -> ServiceState:
    try:
        response = await http.get(f"http://{host}:{member.http_port}/ready")
        body = cast("dict[str, object]", response.json())
    except (httpx.HTTPError, ValueError):
        return ServiceState()
    stage, engine, model, reason = (str(body.get(name, "")) for name in ("status", "engine", "model", "reason"))
    return ServiceState(stage, engine, model, reason, now_s if response.status_code == 200 else None)
