"""The result that the load client sends to the benchmark as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class LoadResult:
    """The measurements of all simulated users.

    - waits: last voiced sample sent → first audible frame received
    - stop edges: last voiced sample sent → speech_stopped received
    - last frames: first voiced sample of an interruption sent → last frame of the interrupted answer received; 0 when
      none came after it
    - silences: first voiced sample of an interruption sent → playback_pause or playback_stop received, when a client
      with buffered audio falls silent
    """

    waits_ms: list[float] = field(default_factory=list)
    stop_edges_ms: list[float] = field(default_factory=list)
    last_frames_ms: list[float] = field(default_factory=list)
    silences_ms: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    frames: int = 0
    # Frames sent more than a frame's length too late: the client is too slow for its number of users.
    late_frames: int = 0

    def reset(self) -> None:
        """Discard the measurements of the warm-up, but keep its failures."""
        self.waits_ms, self.stop_edges_ms, self.last_frames_ms, self.silences_ms = [], [], [], []
        self.frames = self.late_frames = 0
