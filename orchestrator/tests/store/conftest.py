"""Databases for the tests of the store: SQLite files, and a PostgreSQL server where its programs are installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

# Debian has the programs of a server outside the path.
PROGRAMS = os.pathsep.join([os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))])
INITDB, PG_CTL = (shutil.which(program, path=PROGRAMS) for program in ("initdb", "pg_ctl"))


def unprivileged() -> str | None:
    """The user that the server runs as: it refuses root."""
    if os.geteuid() != 0:
        return None
    return next((name for name in ("postgres", "nobody") if name in {entry.pw_name for entry in pwd.getpwall()}), None)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Path]:
    """The folder with the socket of a server of our own, which accepts everybody there."""
    if INITDB is None or PG_CTL is None:
        pytest.skip("needs PostgreSQL's initdb and pg_ctl")
    user = unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="anchor-pg-"))
    if user:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)

    def run(*command: str) -> None:
        subprocess.run(command, check=True, user=user, stdout=subprocess.DEVNULL, cwd="/", timeout=60)

    try:
        run(INITDB, "-D", str(folder / "data"), "-A", "trust", "-U", "anchor", "-N", "-E", "UTF8")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        run(PG_CTL, "-D", str(folder / "data"), "-l", str(folder / "log"), "-w", "-o", options, "start")
        yield folder
        run(PG_CTL, "-D", str(folder / "data"), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store/conversations.db"
    folder: Path = request.getfixturevalue("postgresql")
    name = f"test_{uuid4().hex}"
    subprocess.run(["createdb", "-h", folder, "-U", "anchor", name], check=True, timeout=60)
    return f"postgresql://anchor@/{name}?host={folder}"
