"""What a transcription process is started with. Imports nothing that reads the environment when it is loaded."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """Which model a process loads, how, and with what priority."""

    # `whisper` or `moonshine`.
    model: str
    folder: str
    device: str = "cpu"
    compute_type: str = "int8"
    # Threads of one clip; 0 for the library's choice.
    threads: int = 1
    # Clips at one time.
    clips: int = 1
    # Added to the process's niceness: how far it gives way to others.
    nice: int = 0

    def to_json(self) -> str:
        """Return the spec as JSON, for the process's command line."""
        return json.dumps(asdict(self))
