"""supervisord stops when its parent dies."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from anchor_cli.mesh.processes import MESH_ID_VARIABLE, find_mesh_processes, kill_processes, read_command_line


async def until_gone(mark: str) -> None:
    async with asyncio.timeout(30):
        while find_mesh_processes(mark):
            await asyncio.sleep(0.02)


async def test_supervisor_stops_when_its_parent_dies(short_root: Path) -> None:
    (short_root / "supervisord.conf").write_text(
        "[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile=%(here)s/pid\n"
        f'[program:sleeper]\ncommand={sys.executable} -c "import time; time.sleep(60)"\n'
    )
    parent = (
        "import os, subprocess, sys, time\n"
        "command = [sys.executable, '-m', 'anchor_cli.mesh.supervisor_process', str(os.getpid()), '-c', sys.argv[1]]\n"
        "child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)\n"
        "time.sleep(60)\n"
    )
    mark = f"orphan-{os.getpid()}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", parent, str(short_root / "supervisord.conf")),
        env={**os.environ, MESH_ID_VARIABLE: mark},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(30):
            while not any(
                "time.sleep(60)" in read_command_line(pid) for pid in find_mesh_processes(mark) - {process.pid}
            ):
                await asyncio.sleep(0.02)
        process.kill()
        await process.wait()
        await until_gone(mark)
    finally:
        kill_processes(find_mesh_processes(mark))


async def test_supervisor_without_parent_exits_immediately(short_root: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "anchor_cli.mesh.supervisor_process", "1", "-c", str(short_root / "none.conf")),
        stderr=asyncio.subprocess.PIPE,
    )
    _, stderr = await process.communicate()
    assert process.returncode == 1
    assert b"is gone" in stderr
