"""Renders supervisord's configuration file."""

from __future__ import annotations

import io
import math
import shlex
from collections.abc import Iterable
from configparser import RawConfigParser
from dataclasses import dataclass
from pathlib import Path

from anchor_cli.mesh.programs import Program

# A program that ends sooner counts as a failed start; supervisord then waits 1 s, 2 s, 3 s … before the next one.
START_S = 2
# With these waits, 50 attempts last 20 minutes.
START_ATTEMPTS = 50
# The one group that all programs are in.
GROUP = "mesh"
# Time beyond the drain time and the grace before supervisord kills a program.
STOP_MARGIN_S = 3


@dataclass(frozen=True, slots=True)
class SupervisorFiles:
    """Paths of the supervisor's files, and the password of its socket."""

    folder: Path
    secret: str
    # Folder of the control socket, where the path in `folder` would be too long.
    socket_folder: Path | None = None

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.folder / "supervisord.conf"

    @property
    def socket(self) -> Path:
        """The control socket."""
        return (self.socket_folder or self.folder) / "supervisor.sock"


def render_config(
    members: Iterable[Program], files: SupervisorFiles, *, python: str, root: Path, drain_s: float, as_root: bool
) -> str:
    """Configuration that runs `members` with the interpreter `python` in the folder `root`.

    All output goes to supervisord's standard output.
    """
    config = RawConfigParser()
    config["supervisord"] = {
        "nodaemon": "true",
        "logfile": "/dev/null",
        "logfile_maxbytes": "0",
        "pidfile": _escape(files.folder / "supervisord.pid"),
        "childlogdir": _escape(files.folder),
    }
    if as_root:
        config["supervisord"]["user"] = "root"
    config["unix_http_server"] = {
        "file": _escape(files.socket),
        "chmod": "0700",
        "username": "anchor",
        "password": files.secret,
    }
    config["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    config["supervisorctl"] = {
        "serverurl": f"unix://{_escape(files.socket)}",
        "username": "anchor",
        "password": files.secret,
    }
    members = list(members)
    # One group, because supervisord stops groups one after another, taking a second each.
    config[f"group:{GROUP}"] = {"programs": ",".join(member.name for member in members)}
    for member in members:
        config[f"program:{member.name}"] = {
            "command": _escape(shlex.join([python, "-m", member.module])),
            "directory": _escape(root),
            # An empty setting counts as none.
            "environment": ",".join(f'{name}=""' for name in member.withheld_secrets),
            "priority": str(member.priority),
            "autorestart": "true",
            "startsecs": str(START_S),
            "startretries": str(START_ATTEMPTS),
            "stopwaitsecs": str(math.ceil(drain_s + member.grace_s + STOP_MARGIN_S)),
            # A service stops its own workers after draining; only SIGKILL goes to the whole process group.
            "stopasgroup": "false",
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": "/dev/fd/1",
            "stdout_logfile_maxbytes": "0",
        }
    text = io.StringIO()
    config.write(text)
    return text.getvalue()


def _escape(value: Path | str) -> str:
    """Escape percent signs, which supervisord expands."""
    return str(value).replace("%", "%%")
