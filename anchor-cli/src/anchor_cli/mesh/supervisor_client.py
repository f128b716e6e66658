"""XML-RPC client for supervisord's control socket."""

from __future__ import annotations

import xmlrpc.client
from dataclasses import dataclass
from typing import Any, cast

import httpx

from anchor_cli.mesh.supervisor_config import GROUP, SupervisorFiles

TIMEOUT_S = 2.0
# supervisord's fault code for a program without a process.
NOT_RUNNING = 70


@dataclass(frozen=True, slots=True)
class ProgramState:
    """A program's state in supervisord.

    `state` is supervisord's name (RUNNING, BACKOFF, FATAL …), `started_at_s` the Unix time of the last start, `pid` 0
    without a process.
    """

    name: str
    state: str
    pid: int
    started_at_s: int
    reason: str


class SupervisorClient:
    """Client of one supervisor.

    Raises `httpx.HTTPError` when it does not respond, `xmlrpc.client.Fault` when it refuses.
    """

    def __init__(self, files: SupervisorFiles) -> None:
        self._http = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(files.socket)),
            base_url="http://supervisor",
            auth=("anchor", files.secret),
            timeout=TIMEOUT_S,
        )

    async def fetch_states(self) -> list[ProgramState]:
        """The states of all programs, in no particular order."""
        answer = await self._call("supervisor.getAllProcessInfo")
        return [
            ProgramState(
                str(info["name"]), str(info["statename"]), int(info["pid"]), int(info["start"]), str(info["spawnerr"])
            )
            for info in cast("list[dict[str, Any]]", answer)
        ]

    async def stop_program(self, name: str, within_s: float) -> None:
        """Stop a program by SIGTERM and return when it has ended; does nothing where it does not run."""
        try:
            await self._call("supervisor.stopProcess", f"{GROUP}:{name}", within_s=within_s)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != NOT_RUNNING:
                raise

    async def _call(self, method: str, *arguments: str, within_s: float = TIMEOUT_S) -> object:
        body = xmlrpc.client.dumps(arguments, method)
        headers = {"content-type": "text/xml"}
        response = await self._http.post("/RPC2", content=body, headers=headers, timeout=within_s)
        response.raise_for_status()
        (answer,), _ = xmlrpc.client.loads(response.content)
        return answer

    async def close(self) -> None:
        """Close the connection."""
        await self._http.aclose()
