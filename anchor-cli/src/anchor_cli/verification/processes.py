"""Commands and servers that the steps start: their output goes to a file, and none is left running."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from service_kit.errors import EngineFailed, PeerFailed

_STOP_S = 20.0
_POLL_S = 0.1


def project_environment(root: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a Python that is not this one: its path has the project's packages and tools."""
    sources = sorted(str(path) for path in root.glob("**/src") if len(path.relative_to(root).parts) <= 3)
    path = os.pathsep.join([str(root / "tools/bench"), *sources, str(root / "proto/gen/python")])
    return {**os.environ, "PYTHONPATH": path, **extra}


async def run_command(
    command: Sequence[str], log: Path, *, timeout_s: float, env: Mapping[str, str] | None = None
) -> str:
    """Run a command and return its standard output; standard error goes to `log`.

    Raises `EngineFailed` (`verify.command_failed`) with the last lines of the log, also after `timeout_s`.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as errors:
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.PIPE, stderr=errors, env=env, start_new_session=True
            )
        except OSError as error:
            raise EngineFailed("verify.command_failed", f"cannot start {command[0]}: {error}") from error
        try:
            async with asyncio.timeout(timeout_s):
                output, _ = await process.communicate()
        except TimeoutError as error:
            raise EngineFailed("verify.command_failed", f"{_name(command)} took more than {timeout_s:g} s") from error
        finally:
            await _end(process)
    if process.returncode:
        raise EngineFailed(
            "verify.command_failed", f"{_name(command)} failed: {_last_lines(log) or process.returncode}"
        )
    return output.decode(errors="replace")


async def run_json(command: Sequence[str], log: Path, *, timeout_s: float, env: Mapping[str, str]) -> dict[str, Any]:
    """Run a command whose last line of output is a JSON object. Raises as `run_command`."""
    output = await run_command(command, log, timeout_s=timeout_s, env=env)
    try:
        value = json.loads(output.strip().splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise EngineFailed("verify.command_failed", f"{_name(command)} printed no figures") from error
    return dict(value)


@asynccontextmanager
async def running_server(
    command: Sequence[str], log: Path, ready_url: str, *, timeout_s: float, env: Mapping[str, str] | None = None
) -> AsyncGenerator[None]:
    """Run a server until `ready_url` answers with success, and end it on leaving.

    Raises `PeerFailed` (`verify.server_ended`, `verify.server_slow`) with the last lines of its log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=output, stderr=output, env=env, start_new_session=True
        )
    try:
        await _wait_until_ready(process, command, log, ready_url, timeout_s)
        yield
    finally:
        await _end(process)


async def _wait_until_ready(
    process: asyncio.subprocess.Process, command: Sequence[str], log: Path, url: str, timeout_s: float
) -> None:
    try:
        async with asyncio.timeout(timeout_s), httpx.AsyncClient(timeout=5, trust_env=False) as http:
            while process.returncode is None:
                with suppress(httpx.TransportError):
                    if (await http.get(url)).is_success:
                        return
                await asyncio.sleep(_POLL_S)
    except TimeoutError as error:
        message = f"{_name(command)} was not ready within {timeout_s:g} s: {_last_lines(log)}"
        raise PeerFailed("verify.server_slow", message) from error
    raise PeerFailed("verify.server_ended", f"{_name(command)} ended: {_last_lines(log)}")


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a process, by SIGTERM first."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _name(command: Sequence[str]) -> str:
    return " ".join(Path(part).name if index == 0 else part for index, part in enumerate(command[:4]))


def _last_lines(log: Path) -> str:
    return " / ".join(log.read_text("utf-8", errors="replace").splitlines()[-3:])[-600:]
