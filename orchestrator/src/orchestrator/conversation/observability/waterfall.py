"""The latency waterfall of a turn: when each stage was reached, counted from the end of the user's speech."""

from __future__ import annotations

from typing import Literal

from orchestrator.conversation.messages.server import LatencyWaterfall
from orchestrator.conversation.observability.turn_trace import Outcome, StageTimes, TurnTrace
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
    """The stages of one turn, recorded on the loop's clock and reported relative to the end of the user's speech."""

    def __init__(self, turn_id: int, trace: TurnTrace | None = None, began_s: float | None = None) -> None:
        """`began_s` is the start of the turn on the loop's clock; None when it has not begun."""
        self.trace = trace or TurnTrace()
        self._turn_id = turn_id
        self._began_s = began_s
        self._speech_end_ms = 0
        self._zero_s: float | None = None
        self._reached_s: dict[Stage, float] = {}

    def record_speech_end(self, at_ms: int, at_s: float) -> None:
        """Record the end of the user's speech: `at_ms` on the audio clock, `at_s` on the loop's."""
        self._speech_end_ms = at_ms
        self._zero_s = at_s

    def record_stage(self, stage: Stage, at_s: float, again: bool = False) -> None:
        """Record that a stage was reached; only its first time counts, unless `again`."""
        if again or stage not in self._reached_s:
            self._reached_s[stage] = at_s
            self.trace.record_stage(stage, at_s)

    def continue_speech(self, continuation: Waterfall) -> None:
        """Take over the speech stages of the turn that continues this one."""
        if continuation._zero_s is not None:
            self.record_speech_end(continuation._speech_end_ms, continuation._zero_s)
        for stage, at_s in continuation._reached_s.items():
            self.record_stage(stage, at_s, again=True)

    def clear_reply_stages(self) -> None:
        """Clear the stages of a discarded reply, so that the next one can reach them."""
        for stage in _REPLY_STAGES:
            self._reached_s.pop(stage, None)

    def message(self, budget_ms: int = 0) -> LatencyWaterfall:
        """The `latency_waterfall` message: the stages reached so far, beside the latency budget."""
        stages = {f"{stage}_ms": at_ms for stage, at_ms in self.stages_ms().items()}
        return LatencyWaterfall(self._turn_id, self._speech_end_ms, **stages, budget_ms=budget_ms)

    @property
    def user_span_s(self) -> tuple[float, float] | None:
        """Start and end of what the user said or wrote, on the loop's clock; None when the user has no part in it."""
        end_s = self._reached_s.get("turn_committed") if self._zero_s is None else self._zero_s
        if end_s is None:
            return None
        return (end_s if self._began_s is None else min(self._began_s, end_s)), end_s

    def stages_ms(self) -> dict[str, int]:
        """Times of the stages in ms. A turn without speech counts from its commit, and has no transcript."""
        reached_s = dict(self._reached_s)
        zero_s = self._zero_s
        if zero_s is None:
            reached_s.pop("final_transcript", None)
            zero_s = reached_s.get("turn_committed", 0.0)
        return {stage: round((at_s - zero_s) * 1000) for stage, at_s in reached_s.items()}

    def end(self, outcome: Outcome, now_s: float) -> None:
        """End the trace of the turn with the same times."""
        self.trace.end(outcome, StageTimes(self._zero_s, {**self._reached_s}), now_s)

    def observe_metrics(self) -> None:
        """Add the stages to the metrics; nothing for a turn without speech."""
        if self._zero_s is not None:
            for stage, at_s in self._reached_s.items():
                STAGE_SECONDS.labels(stage).observe(max(0.0, at_s - self._zero_s))
