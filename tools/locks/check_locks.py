"""Checks that every lock can be installed from wheels only, for each version of Python and kind of machine.

    .venv/bin/python tools/locks/check_locks.py [LOCK ...]

uv resolves each lock as `pip install --only-binary :all: --require-hashes` would, from the registry's listings alone:
nothing is downloaded or installed. `EXCEPTIONS` names what is known not to be there. Exits with 1 at any difference.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# glibc 2.28: Debian 10, Ubuntu 20.04, RHEL 8 and newer.
PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28")
# Lock → why it is not checked. It is for tests in an environment of its own, with a compiler.
EXCEPTIONS = {"vllm-requirements.lock": "llguidance has an sdist only"}
_TIMEOUT_S = 120


def locks() -> list[Path]:
    """All lock files of Python packages."""
    found = [*ROOT.glob("*requirements.lock"), *ROOT.glob("*/*requirements.lock"), *ROOT.glob("*/*/requirements.lock")]
    return sorted(path for path in found if ".venv" not in path.parts and "node_modules" not in path.parts)


def complaint(lock: Path, python: str, platform: str) -> str:
    """Why uv cannot install the lock from wheels there; empty when it can."""
    with tempfile.TemporaryDirectory() as target:
        command = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--dry-run", "--target", target]
        command += ["--python-version", python, "--python-platform", platform, "--only-binary", ":all:"]
        command += ["--require-hashes", "--no-deps", "--color", "never", "-r", str(lock)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, env=os.environ, cwd=ROOT
            )
        except subprocess.TimeoutExpired:
            return f"no answer within {_TIMEOUT_S} s"
    lines = [line.strip() for line in done.stderr.splitlines() if "ecause" in line or line.startswith("error")]
    return "" if done.returncode == 0 else (lines[-1] if lines else f"uv ended with {done.returncode}")


def main() -> int:
    """Check the given locks, or all; prints one line per lock and failure."""
    chosen = [Path(name).resolve() for name in sys.argv[1:]] or locks()
    checked = [lock for lock in chosen if lock.name not in EXCEPTIONS]
    failures = 0
    with ThreadPoolExecutor(4) as pool:
        cases = list(product(checked, PYTHONS, PLATFORMS))
        for (lock, python, platform), words in zip(cases, pool.map(complaint, *zip(*cases, strict=True)), strict=True):
            if words:
                failures += 1
                sys.stdout.write(f"{lock.relative_to(ROOT)}: Python {python}, {platform}: {words}" + "\n")
    sys.stdout.write(
        f"{len(checked)} locks, Python {', '.join(PYTHONS)}, {' and '.join(PLATFORMS)}: {failures} without wheels"
        + "\n"
    )
    for name, reason in EXCEPTIONS.items():
        sys.stdout.write(f"{name}: not checked, {reason}" + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
