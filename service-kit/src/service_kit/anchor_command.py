"""How the user of this installation types the command `anchor`, for messages that tell them to run it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path


def anchor_command(arguments: str) -> str:
    """`anchor` with `arguments`: by name where the PATH has this installation's, else by its path.

    `make` creates `.venv` and activates nothing, so there the path is `.venv/bin/anchor`. Where the command is not
    installed, as in a service's container, the name alone stays.
    """
    # Not resolved: the interpreter of an environment is a link to the one that it was made of.
    installed = Path(sys.executable).with_name("anchor")
    found = shutil.which("anchor")
    if not installed.is_file() or (found is not None and installed.samefile(found)):
        return f"anchor {arguments}"
    here = Path.cwd()
    return f"{installed.relative_to(here) if installed.is_relative_to(here) else installed} {arguments}"
