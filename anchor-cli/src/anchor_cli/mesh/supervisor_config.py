"""The configuration of supervisord, as text."""

from __future__ import annotations

import io
import shlex
from collections.abc import Iterable
from configparser import RawConfigParser
from dataclasses import dataclass
from pathlib import Path

from anchor_cli.mesh.programs import Program

# A program that ends sooner than this after its start did not start; the supervisor then waits 1 s, 2 s, 3 s …
START_S = 2
# With waits that grow by a second each, this many attempts last 20 minutes.
START_ATTEMPTS = 50
# What the supervisor grants a program beyond the time it takes to drain, before it kills it.
STOP_MARGIN_S = 3


@dataclass(frozen=True, slots=True)
class SupervisorFiles:
    """Where the supervisor keeps its things, and the secret of its socket."""

    folder: Path
    secret: str

    @property
    def config(self) -> Path:
        """Its configuration."""
        return self.folder / "supervisord.conf"

    @property
    def socket(self) -> Path:
        """Its control socket."""
        return self.folder / "supervisor.sock"


def render(
    members: Iterable[Program], files: SupervisorFiles, *, python: str, root: Path, drain_s: float, as_root: bool
) -> str:
    """The configuration that runs `members` with the interpreter `python`, working in `root`.

    All output goes to the supervisor's own standard output, which has one reader.
    """
    config = RawConfigParser()
    config["supervisord"] = {
        "nodaemon": "true",
        "logfile": "/dev/null",
        "logfile_maxbytes": "0",
        "pidfile": _literal(files.folder / "supervisord.pid"),
        "childlogdir": _literal(files.folder),
    }
    if as_root:
        config["supervisord"]["user"] = "root"
    config["unix_http_server"] = {
        "file": _literal(files.socket),
        "chmod": "0700",
        "username": "anchor",
        "password": files.secret,
    }
    config["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    config["supervisorctl"] = {
        "serverurl": f"unix://{_literal(files.socket)}",
        "username": "anchor",
        "password": files.secret,
    }
    members = list(members)
    # One group, because the supervisor stops groups one after another, a second each.
    config["group:mesh"] = {"programs": ",".join(member.name for member in members)}
    for member in members:
        config[f"program:{member.name}"] = {
            "command": _literal(shlex.join([python, "-m", member.module])),
            "directory": _literal(root),
            "priority": str(member.priority),
            "autorestart": "true",
            "startsecs": str(START_S),
            "startretries": str(START_ATTEMPTS),
            "stopwaitsecs": str(round(drain_s + STOP_MARGIN_S)),
            # A service ends its own workers when it has drained; only what must be killed is killed with its group.
            "stopasgroup": "false",
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": "/dev/fd/1",
            "stdout_logfile_maxbytes": "0",
        }
    text = io.StringIO()
    config.write(text)
    return text.getvalue()


def _literal(value: Path | str) -> str:
    """`value` as the supervisor reads it back: it expands what follows a percent sign."""
    return str(value).replace("%", "%%")
