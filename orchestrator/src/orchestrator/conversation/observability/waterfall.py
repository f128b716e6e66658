"""Where the time of a turn goes."""

from __future__ import annotations

from typing import Literal

from orchestrator.conversation.messages.server import LatencyWaterfall
from orchestrator.conversation.observability.turn_trace import Moments, Outcome, TurnTrace
from orchestrator.metrics import STAGE_SECONDS

Stage = Literal[
    "speech_stopped",
    "final_transcript",
    "turn_committed",
    "first_token",
    "first_phrase",
    "first_audio",
    "first_frame_sent",
    "first_sample_heard",
]
_REPLY_STAGES: tuple[Stage, ...] = (
    "first_token",
    "first_phrase",
    "first_audio",
    "first_frame_sent",
    "first_sample_heard",
)


class Waterfall:
    """The stages of one turn as moments of the loop's clock; told as times after the end of the user's speech."""

    def __init__(self, turn_id: int, trace: TurnTrace | None = None) -> None:
        self.trace = trace or TurnTrace()
        self._turn_id = turn_id
        self._speech_end_ms = 0
        self._zero_s: float | None = None
        self._reached_s: dict[Stage, float] = {}

    def speech_ended(self, at_ms: int, at_s: float) -> None:
        """The user's speech ended `at_ms` on the audio clock, `at_s` on the loop's."""
        self._speech_end_ms = at_ms
        self._zero_s = at_s

    def reached(self, stage: Stage, at_s: float, again: bool = False) -> None:
        """A stage was reached; only its first time counts, unless `again`."""
        if again or stage not in self._reached_s:
            self._reached_s[stage] = at_s
            self.trace.reached(stage, at_s)

    def sample_heard(self, at_s: float) -> None:
        """The first sample was heard, by a client's reckoning; not before it was sent."""
        self.reached("first_sample_heard", max(at_s, self._reached_s.get("first_frame_sent", at_s)))

    def drop_reply(self) -> None:
        """A reply was begun in vain: its stages are another's to reach."""
        for stage in _REPLY_STAGES:
            self._reached_s.pop(stage, None)

    def message(self, budget_ms: int = 0) -> LatencyWaterfall:
        """The stages reached so far, and what they might have taken."""
        stages = {f"{stage}_ms": at_ms for stage, at_ms in self.stages_ms().items()}
        return LatencyWaterfall(self._turn_id, self._speech_end_ms, **stages, budget_ms=budget_ms)

    def stages_ms(self) -> dict[str, int]:
        """The same as times. A turn that was not spoken counts from its commit, and had no transcript."""
        reached_s = dict(self._reached_s)
        zero_s = self._zero_s
        if zero_s is None:
            reached_s.pop("final_transcript", None)
            zero_s = reached_s.get("turn_committed", 0.0)
        return {stage: round((at_s - zero_s) * 1000) for stage, at_s in reached_s.items()}

    def end(self, outcome: Outcome, now_s: float) -> None:
        """The turn is over: its trace is told of the same moments."""
        self.trace.end(outcome, Moments(self._zero_s, {**self._reached_s}), now_s)

    def observe(self) -> None:
        """Add the turn to the metrics."""
        if self._zero_s is not None:
            for stage, at_s in self._reached_s.items():
                STAGE_SECONDS.labels(stage).observe(max(0.0, at_s - self._zero_s))
