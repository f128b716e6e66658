"""What the load client finds, and says to the benchmark as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Findings:
    """What all people found.

    - waits: last voiced sample sent → first audible frame received
    - stop edges: the same → told that speech has stopped
    - last frames: first voiced sample of an interruption sent → last frame of the interrupted answer received; 0 when
      none came after it
    - silences: the same → told to pause or stop, which is when a client that plays ahead falls silent
    """

    waits_ms: list[float] = field(default_factory=list)
    stop_edges_ms: list[float] = field(default_factory=list)
    last_frames_ms: list[float] = field(default_factory=list)
    silences_ms: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    frames: int = 0
    # Frames that left more than a frame's length after their time: the client is too slow for its people.
    late_frames: int = 0

    def restart(self) -> None:
        """Forget the warm-up, but not its failures."""
        self.waits_ms, self.stop_edges_ms, self.last_frames_ms, self.silences_ms = [], [], [], []
        self.frames = self.late_frames = 0
