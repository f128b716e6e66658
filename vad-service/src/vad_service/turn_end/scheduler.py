"""Schedules the turn-end predictions of one microphone.

A pause is predicted when its silence reaches the first threshold, again for a new transcript, and again at each longer
silence while the turn seems open. A quick prediction, where the predictor offers one, is reported immediately; the full
prediction runs on the predictor's thread. A microphone has one full prediction in progress; of the requests that arrive
meanwhile, only the newest is kept. When speech resumes, a prediction that still waits for the thread is not made, and
none is reported.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from itertools import count

import numpy as np
from numpy.typing import NDArray
from service_kit.engines.worker import EngineWorker
from service_kit.errors import AtCapacity

from vad_service.engine import Frame
from vad_service.events import PauseReached, SpeechStarted, SpeechStopped, TurnEndPredicted
from vad_service.metrics import EVENTS, PREDICTION_SECONDS, PREDICTIONS_DROPPED
from vad_service.recent_audio import PcmFrames, RecentAudio, join_frames
from vad_service.turn_end.predictor import (
    PartialTranscript,
    Pause,
    Prediction,
    QuickPredictor,
    TurnEndPredictor,
)

# A full prediction below this leaves the turn open: it is repeated as the silence grows.
_OPEN_BELOW = 0.5
_NO_AUDIO = np.empty(0, np.float32)
# A prediction that differs by less from the last one reported is not reported.
_MIN_CHANGE = 0.01
# Speech after a longer silence starts another turn, for `Pause.speech_ms`: a first word has too little intonation for
# the audio model.
_TURN_GAP_MS = 1200


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """A pause as it was when its prediction was requested."""

    # Increases with each request of a microphone.
    number: int
    at_ms: int
    silence_ms: int
    recorded: PcmFrames
    transcript: PartialTranscript | None
    speech_ms: int
    # The audio has been predicted already; only the transcript is new.
    only_text_is_new: bool


class PredictionStage(Enum):
    """Which prediction of the current pause was made last.

    A quick prediction sets QUICK or QUICK_SUFFICIENT, also after FULL when a new transcript comes; a full prediction
    sets FULL.
    """

    # No prediction yet.
    UNPREDICTED = auto()
    # A quick prediction; the full one is still needed.
    QUICK = auto()
    # A quick prediction that needs no full one.
    QUICK_SUFFICIENT = auto()
    # A full prediction.
    FULL = auto()


class _PausePredictions:
    """The predictions of the current pause, from the first request until speech resumes."""

    def __init__(self, reached: PauseReached) -> None:
        self.reached = reached
        self.stage = PredictionStage.UNPREDICTED
        self.prediction: Prediction | None = None
        self.reported_probability: float | None = None

    def needs_prediction(self, request: PredictionRequest) -> bool:
        """Return whether the turn is still open, or `request` has a new transcript."""
        if self.prediction is None or request.only_text_is_new:
            return True
        return self.stage is PredictionStage.QUICK or self.prediction.probability < _OPEN_BELOW

    def allows_quick_prediction(self, request: PredictionRequest) -> bool:
        """Return whether a quick prediction for `request` would replace no full prediction of the same transcript."""
        if self.prediction is None or request.only_text_is_new:
            return True
        return self.stage in (PredictionStage.QUICK, PredictionStage.QUICK_SUFFICIENT)


class TurnEndScheduler:
    """Schedules the predictions of one microphone. They run in `tasks`; `report` sends each to the client."""

    def __init__(
        self, predictor: TurnEndPredictor, worker: EngineWorker, language: str,
        tasks: asyncio.TaskGroup, report: Callable[[TurnEndPredicted], Awaitable[None]],
    ) -> None:  # fmt: skip
        self._predictor = predictor
        self._quick_predictor = predictor if isinstance(predictor, QuickPredictor) else None
        self._worker = worker
        self._language = language
        self._tasks = tasks
        self._report = report
        self._recent = RecentAudio(predictor.audio_ms)
        self._transcript: PartialTranscript | None = None
        self._audio_end_ms: int | None = None
        self._speech_start_ms = 0
        self._speech_stop_ms: int | None = None
        self._speech_ms = 0
        # None during speech, and in a silence too short for a prediction.
        self._pause: _PausePredictions | None = None
        self._request_numbers = count()
        # The number of the newest request whose prediction is in effect.
        self._newest_predicted = 0
        self._next_request: PredictionRequest | None = None
        self._full_predictions: asyncio.Task[None] | None = None
        # Full predictions may be left out to save processor time; quick ones are always made.
        self.predicts_fully = True

    def push_audio(self, frame: Frame, start_ms: int, end_ms: int) -> None:
        """Keep a frame for later predictions."""
        self._recent.append(frame, start_ms - (self._audio_end_ms or start_ms))
        self._audio_end_ms = end_ms

    def update_transcript(self, transcript: PartialTranscript) -> None:
        """Store a newer transcript. If the current pause was predicted without it, request another prediction."""
        before, self._transcript = self._transcript, transcript
        if self._pause is None:
            return
        reached = self._pause.reached
        is_same_text = before is not None and before.text == transcript.text
        reaches_pause = before is None or before.end_ms < reached.at_ms <= transcript.end_ms
        if not is_same_text or reaches_pause:
            silence_ms = max(reached.silence_ms, (self._audio_end_ms or 0) - reached.at_ms)
            self._request(self._pause, silence_ms, only_text_is_new=True)

    def on_speech_started(self, edge: SpeechStarted) -> None:
        """Drop the predictions of the pause that speech has ended."""
        self._pause = None
        self._next_request = None
        self._speech_start_ms = edge.at_ms
        if self._speech_stop_ms is not None and edge.at_ms - self._speech_stop_ms > _TURN_GAP_MS:
            self._speech_ms = 0

    def on_speech_stopped(self, edge: SpeechStopped) -> None:
        """Count the speech that has ended."""
        self._speech_stop_ms = edge.at_ms
        self._speech_ms += edge.at_ms - self._speech_start_ms

    def on_pause_reached(self, reached: PauseReached) -> None:
        """Request a prediction: the silence has reached the next threshold."""
        if self._pause is None:
            self._pause = _PausePredictions(reached)
        self._pause.reached = reached
        self._request(self._pause, reached.silence_ms, only_text_is_new=False)

    def _request(self, pause: _PausePredictions, silence_ms: int, *, only_text_is_new: bool) -> None:
        request = PredictionRequest(
            next(self._request_numbers),
            pause.reached.at_ms,
            silence_ms,
            self._recent.snapshot(),
            self._transcript,
            self._speech_ms,
            only_text_is_new,
        )
        if not pause.needs_prediction(request):
            return
        self._predict_quickly(pause, request)
        if self.predicts_fully and pause.stage is not PredictionStage.QUICK_SUFFICIENT:
            self._queue_full_prediction(request)

    def _predict_quickly(self, pause: _PausePredictions, request: PredictionRequest) -> None:
        """Make and report a quick prediction, if the predictor offers one and no full prediction supersedes it."""
        if self._quick_predictor is None or not pause.allows_quick_prediction(request):
            return
        earlier = pause.prediction if request.only_text_is_new else None
        quick = self._quick_predictor.predict_quickly(self._predictor_input(request, _NO_AUDIO, earlier))
        pause.stage = PredictionStage.QUICK_SUFFICIENT if quick.is_sufficient else PredictionStage.QUICK
        self._tasks.create_task(self._apply(request, quick.prediction), name="report quick prediction")

    def _queue_full_prediction(self, request: PredictionRequest) -> None:
        """Make `request` the next full prediction, in place of one that has not started."""
        # Audio that was not predicted yet still is, whatever else is new.
        if request.only_text_is_new and self._next_request is not None and not self._next_request.only_text_is_new:
            request = replace(request, only_text_is_new=False)
        self._next_request = request
        if self._full_predictions is None or self._full_predictions.done():
            self._full_predictions = self._tasks.create_task(self._run_full_predictions(), name="predict turn end")

    async def _run_full_predictions(self) -> None:
        while (request := self._next_request) is not None:
            self._next_request = None
            if self._pause is None or self._pause.needs_prediction(request):
                await self._predict_fully(request)

    async def _predict_fully(self, request: PredictionRequest) -> None:
        """Predict and report. The request is dropped when the worker's queue is full, or when speech has resumed."""
        earlier = self._pause.prediction if self._pause is not None and request.only_text_is_new else None
        started_s = time.perf_counter()
        try:
            prediction = await self._worker.run(lambda: self._predict_on_worker(request, earlier))
        except AtCapacity:
            PREDICTIONS_DROPPED.labels("queue_full").inc()
            return
        pause = self._pause_of(request)
        if prediction is None or pause is None:
            PREDICTIONS_DROPPED.labels("speech_resumed").inc()
            return
        PREDICTION_SECONDS.observe(time.perf_counter() - started_s)
        pause.stage = PredictionStage.FULL
        await self._apply(request, prediction)

    async def _apply(self, request: PredictionRequest, prediction: Prediction) -> None:
        """Put `prediction` into effect and report it, unless speech has resumed or a newer request was predicted.

        The latter happens when a quick prediction from a newer transcript comes during a full prediction.
        """
        pause = self._pause_of(request)
        if pause is None or request.number < self._newest_predicted:
            return
        self._newest_predicted = request.number
        pause.prediction = prediction
        reported = pause.reported_probability
        if reported is not None and abs(prediction.probability - reported) < _MIN_CHANGE:
            return
        pause.reported_probability = prediction.probability
        EVENTS.labels(TurnEndPredicted.__name__).inc()
        await self._report(
            TurnEndPredicted(
                request.at_ms, request.silence_ms, prediction.probability, self._predictor.name, prediction.opinions
            )
        )

    def _pause_of(self, request: PredictionRequest) -> _PausePredictions | None:
        """Return the current pause, if `request` belongs to it; None once speech has resumed."""
        pause = self._pause
        return pause if pause is not None and pause.reached.at_ms == request.at_ms else None

    def _predict_on_worker(self, request: PredictionRequest, earlier: Prediction | None) -> Prediction | None:
        """Predict on the predictor's thread; None when speech resumed while the request waited for the thread."""
        if self._pause_of(request) is None:
            return None
        return self._predictor.predict(self._predictor_input(request, join_frames(request.recorded), earlier))

    def _predictor_input(
        self, request: PredictionRequest, audio: NDArray[np.float32], earlier: Prediction | None
    ) -> Pause:
        return Pause(
            request.at_ms,
            request.silence_ms,
            audio,
            request.transcript,
            (request.transcript.language if request.transcript else "") or self._language,
            request.speech_ms,
            earlier,
        )
