"""Silero VAD on onnxruntime, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from service_kit.audio import MICROPHONE
from service_kit.engines.info import EngineInfo
from service_kit.engines.models import model_path

from vad_service.engine import FRAME_SAMPLES, FrameRequest
from vad_service.onnx_session import open_onnx_session
from vad_service.settings import VadSettings

# The model expects the end of the previous frame before each frame; without it, scores collapse.
_CONTEXT_SAMPLES = 64
_STATE_SHAPE = (2, 1, 128)


class SileroState:
    """Recurrent state [2, 1, 128] and the last samples [64] of one microphone."""

    __slots__ = ("context", "state")

    context: NDArray[np.float32]
    state: NDArray[np.float32]

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.context = np.zeros(_CONTEXT_SAMPLES, np.float32)
        self.state = np.zeros(_STATE_SHAPE, np.float32)


class SileroVad:
    """The Silero network; frames of many microphones share one call."""

    def __init__(self, settings: VadSettings) -> None:
        self.info = EngineInfo("silero", "silero-vad", "6.2.3", (), MICROPHONE.rate_hz, {"licence": "MIT"})
        self._settings = settings
        self._session: Any = None
        self._rate_hz = np.array(MICROPHONE.rate_hz, np.int64)

    def load(self) -> None:
        path = model_path("silero", self._settings.models_lock, self._settings.models_dir)
        self._session = open_onnx_session(path)
        silence = np.zeros(FRAME_SAMPLES, np.float32)
        for size in (1, 2, 8):
            self.predict_batch([FrameRequest(self.new_state(), silence) for _ in range(size)])

    def new_state(self) -> SileroState:
        return SileroState()

    def predict_batch(self, batch: Sequence[FrameRequest]) -> list[float]:
        streams = [cast(SileroState, request.state) for request in batch]
        samples = np.empty((len(batch), _CONTEXT_SAMPLES + FRAME_SAMPLES), np.float32)
        for row, (stream, request) in enumerate(zip(streams, batch, strict=True)):
            samples[row, :_CONTEXT_SAMPLES] = stream.context
            samples[row, _CONTEXT_SAMPLES:] = request.frame
        state = streams[0].state if len(batch) == 1 else np.concatenate([each.state for each in streams], axis=1)
        output, state = self._session.run(None, {"input": samples, "state": state, "sr": self._rate_hz})
        for row, stream in enumerate(streams):
            # Copies: a view would keep the whole batch alive.
            stream.context = samples[row, -_CONTEXT_SAMPLES:].copy()
            stream.state = state[:, row : row + 1].copy()
        return output[:, 0].tolist()
