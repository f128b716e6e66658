"""When a microphone's pauses are judged, and what is told of it.

A pause is judged when its silence is long enough, again when a new transcript came, and again as the silence grows
while the turn seems not to be over. What a predictor knows at a glance is told at once; for the rest it has a thread.
There one judgement is under way at a time; of what is asked meanwhile, the latest counts. Once speech has resumed, a
judgement that still waits for the thread is not made, and none is told.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray
from service_kit.engines.worker import EngineWorker
from service_kit.errors import AtCapacity

from vad_service.engine import Frame
from vad_service.metrics import EVENTS, PREDICTION_SECONDS, PREDICTIONS_LEFT_OUT
from vad_service.recent_audio import RecentAudio, Recorded, samples
from vad_service.speech.events import SpeechStarted, SpeechStopped, TurnEndPredicted
from vad_service.speech.speech_edges import PauseReached
from vad_service.turn_end.predictor import (
    Glance,
    GlancingPredictor,
    Judgement,
    PartialTranscript,
    Pause,
    TurnEndPredictor,
)

# A pause judged to end the turn with less than this is judged again as its silence grows.
_OPEN_BELOW = 0.5
_NO_AUDIO = np.empty(0, np.float32)
# A judgement that differs by less from the one told before is not told.
_SAME_WITHIN = 0.01
# Speech after a longer silence counts as the beginning of another turn: a first word has no melody to be judged by.
_TURN_ENDS_AFTER_MS = 1200


@dataclass(frozen=True, slots=True)
class _Question:
    """A pause as it stood when its judgement was asked for."""

    # Rises with each question.
    number: int
    at_ms: int
    silence_ms: int
    recorded: Recorded
    transcript: PartialTranscript | None
    speech_ms: int
    # What was heard has been judged already; only the transcript is new.
    only_text_is_new: bool


class Judging:
    """The pauses of one microphone. `tasks` is where judgements run, `tell` takes each."""

    def __init__(
        self, predictor: TurnEndPredictor, worker: EngineWorker, language: str,
        tasks: asyncio.TaskGroup, tell: Callable[[TurnEndPredicted], Awaitable[None]],
    ) -> None:  # fmt: skip
        self._predictor = predictor
        self._glancing = predictor if isinstance(predictor, GlancingPredictor) else None
        self._worker = worker
        self._language = language
        self._tasks = tasks
        self._tell = tell
        self._recent = RecentAudio(predictor.audio_ms)
        self._transcript: PartialTranscript | None = None
        self._heard_ms: int | None = None
        self._speech_start_ms = 0
        self._speech_stop_ms: int | None = None
        self._speech_ms = 0
        # The pause that lasts, once a judgement of it was asked for.
        self._pause: PauseReached | None = None
        self._judgement: Judgement | None = None
        self._told: float | None = None
        # The latest judgement was a glance: that was enough, or it was not.
        self._glance: Glance | None = None
        self._numbers = count()
        # The number of the newest question that was answered.
        self._answered = 0
        self._next: _Question | None = None
        self._task: asyncio.Task[None] | None = None

    def hear(self, frame: Frame, start_ms: int, end_ms: int) -> None:
        """Keep a frame for later."""
        self._recent.append(frame, start_ms - (self._heard_ms or start_ms))
        self._heard_ms = end_ms

    def read(self, transcript: PartialTranscript) -> None:
        """Take a newer transcript; a pause that has been judged without it is judged again."""
        before, self._transcript = self._transcript, transcript
        pause = self._pause
        if pause is None:
            return
        is_known = before is not None and before.text == transcript.text
        reaches_pause = before is None or before.end_ms < pause.at_ms <= transcript.end_ms
        if not is_known or reaches_pause:
            silence_ms = max(pause.silence_ms, (self._heard_ms or 0) - pause.at_ms)
            self._ask(pause.at_ms, silence_ms, only_text_is_new=True)

    def started(self, edge: SpeechStarted) -> None:
        """Speech goes on: nobody wants to know any more whether it was over."""
        self._pause = self._judgement = self._told = self._next = None
        self._glance = None
        self._speech_start_ms = edge.at_ms
        if self._speech_stop_ms is not None and edge.at_ms - self._speech_stop_ms > _TURN_ENDS_AFTER_MS:
            self._speech_ms = 0

    def stopped(self, edge: SpeechStopped) -> None:
        """A silence begins."""
        self._speech_stop_ms = edge.at_ms
        self._speech_ms += edge.at_ms - self._speech_start_ms

    def due(self, pause: PauseReached) -> None:
        """The silence has lasted long enough for a judgement, or for another one."""
        self._pause = pause
        self._ask(pause.at_ms, pause.silence_ms, only_text_is_new=False)

    def _ask(self, at_ms: int, silence_ms: int, *, only_text_is_new: bool) -> None:
        question = _Question(
            next(self._numbers),
            at_ms,
            silence_ms,
            self._recent.recorded(),
            self._transcript,
            self._speech_ms,
            only_text_is_new,
        )
        if not self._is_open(question) or self._is_enough_at_a_glance(question):
            return
        # What nobody has heard yet is to be heard, whatever else is new.
        if only_text_is_new and self._next is not None and not self._next.only_text_is_new:
            question = replace(question, only_text_is_new=False)
        self._next = question
        if self._task is None or self._task.done():
            self._task = self._tasks.create_task(self._answer(), name="predict turn end")

    def _is_enough_at_a_glance(self, question: _Question) -> bool:
        """Tell what the predictor knows at once, unless more than that has been told; whether nothing is left to do."""
        if self._glancing is None or not (self._judgement is None or self._glance or question.only_text_is_new):
            return False
        earlier = self._judgement if question.only_text_is_new else None
        self._glance = glance = self._glancing.glance(self._pause_of(question, _NO_AUDIO, earlier))
        self._tasks.create_task(self._conclude(question, glance.judgement), name="tell glance")
        return glance.is_enough

    async def _answer(self) -> None:
        while (question := self._next) is not None:
            self._next = None
            if self._is_open(question):
                await self._judge(question)

    def _is_open(self, question: _Question) -> bool:
        if self._judgement is None or question.only_text_is_new or self._judgement.probability < _OPEN_BELOW:
            return True
        return self._glance is not None and not self._glance.is_enough

    async def _judge(self, question: _Question) -> None:
        """Judge and tell. With too many waiting, this question goes unanswered."""
        earlier = self._judgement if question.only_text_is_new else None
        started_s = time.perf_counter()
        try:
            judgement = await self._worker.run(lambda: self._predict(question, earlier))
        except AtCapacity:
            PREDICTIONS_LEFT_OUT.labels("queue_full").inc()
            return
        if judgement is None or not self._is_wanted(question):
            PREDICTIONS_LEFT_OUT.labels("speech_resumed").inc()
            return
        PREDICTION_SECONDS.observe(time.perf_counter() - started_s)
        self._glance = None
        await self._conclude(question, judgement)

    async def _conclude(self, question: _Question, judgement: Judgement) -> None:
        if not self._is_wanted(question) or question.number < self._answered:
            # A glance at a newer transcript was enough, while the voice was listened to.
            return
        self._answered = question.number
        self._judgement = judgement
        if self._told is not None and abs(judgement.probability - self._told) < _SAME_WITHIN:
            return
        self._told = judgement.probability
        EVENTS.labels(TurnEndPredicted.__name__).inc()
        name, opinions = self._predictor.name, judgement.opinions
        await self._tell(TurnEndPredicted(question.at_ms, question.silence_ms, judgement.probability, name, opinions))

    def _is_wanted(self, question: _Question) -> bool:
        return self._pause is not None and self._pause.at_ms == question.at_ms

    def _predict(self, question: _Question, earlier: Judgement | None) -> Judgement | None:
        """On the predictor's thread; None when speech resumed while the question waited for it."""
        if not self._is_wanted(question):
            return None
        return self._predictor.predict(self._pause_of(question, samples(question.recorded), earlier))

    def _pause_of(self, question: _Question, audio: NDArray[np.float32], earlier: Judgement | None) -> Pause:
        return Pause(
            question.at_ms,
            question.silence_ms,
            audio,
            question.transcript,
            self._language,
            question.speech_ms,
            earlier,
        )
