"""Makes a process of the mesh fail by signal; Python imports it at the start of each process that has it in its path.

SIGUSR1 blocks the main thread, and with it the event loop, while all other threads go on. SIGUSR2 sets the wall clock
of the module `time`. `ANCHOR_FAULTS` is the file that says for how many seconds, and by how many.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

_real_time, _real_time_ns = time.time, time.time_ns
_step_s = 0.0


def _read(name: str) -> float:
    return float(json.loads(Path(os.environ["ANCHOR_FAULTS"]).read_text("utf-8"))[name])


def _block(*_: object) -> None:
    time.sleep(_read("block_s"))


def _set_clock(*_: object) -> None:
    global _step_s
    _step_s = _read("clock_step_s")


if "ANCHOR_FAULTS" in os.environ:
    time.time = lambda: _real_time() + _step_s
    time.time_ns = lambda: _real_time_ns() + round(_step_s * 1e9)
    signal.signal(signal.SIGUSR1, _block)
    signal.signal(signal.SIGUSR2, _set_clock)
