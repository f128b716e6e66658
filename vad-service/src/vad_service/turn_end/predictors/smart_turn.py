"""Smart Turn: predicts from intonation and pace whether a turn is over, in 23 languages, without a transcript.

The model, Whisper's smallest encoder with one output, was trained on whole turns of up to 8 s with about 200 ms of
silence after them. It predicts "over" for plain silence and for noise, so it is used only after speech.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from service_kit.audio import MICROPHONE
from service_kit.engines.models import model_path

from vad_service.engine import SAMPLES_PER_MS
from vad_service.events import PredictorOpinion
from vad_service.onnx_session import open_onnx_session
from vad_service.settings import VadSettings
from vad_service.turn_end.predictor import Pause, Prediction
from vad_service.turn_end.predictors.log_mel import Samples, log_mel

_AUDIO_MS = 8000
_AUDIO_SAMPLES = _AUDIO_MS * SAMPLES_PER_MS
# A shorter silence is padded to the length used in training. With 96 ms of padding, the model's answer was the same for
# 98 of 100 pauses.
_SILENCE_MS = 200


class SmartTurn:
    """The Smart Turn network. One microphone per call: a batch takes as long as separate calls."""

    name = "smart-turn"
    audio_ms = _AUDIO_MS

    def __init__(self, settings: VadSettings) -> None:
        self._settings = settings
        self._session: Any = None

    def load(self) -> None:
        path = model_path("smart-turn", self._settings.models_lock, self._settings.models_dir)
        # CPUs without VNNI add products of 8-bit numbers in 16 bits, which overflows with this model: without this
        # entry, the result differs strongly for one clip in ten. It costs a tenth of the time, and nothing on newer
        # CPUs.
        self._session = open_onnx_session(path, {"session.x64quantprecision": "1"})
        self.probability(np.zeros(MICROPHONE.rate_hz, np.float32))

    def predict(self, pause: Pause) -> Prediction:
        """Return the earlier prediction for the same audio, or else run the network."""
        if pause.earlier_prediction is not None:
            return pause.earlier_prediction
        return Prediction(self._predict_pause(pause))

    def opinion(self, pause: Pause) -> PredictorOpinion:
        """Like `predict`, as part of a combined predictor that keeps this opinion in its predictions."""
        return self.earlier_opinion(pause) or PredictorOpinion(self.name, self._predict_pause(pause))

    def earlier_opinion(self, pause: Pause) -> PredictorOpinion | None:
        """Return this predictor's opinion from the pause's earlier prediction, if it has one."""
        earlier = pause.earlier_prediction.opinions if pause.earlier_prediction else ()
        return next((opinion for opinion in earlier if opinion.name == self.name), None)

    def _predict_pause(self, pause: Pause) -> float:
        missing_ms = max(0, _SILENCE_MS - pause.silence_ms)
        return self.probability(np.concatenate([pause.audio, np.zeros(missing_ms * SAMPLES_PER_MS, np.float32)]))

    def probability(self, audio: Samples) -> float:
        """Return the probability that a turn ends with `audio`, shape [n]; only the last 8 s are used."""
        used = audio[-_AUDIO_SAMPLES:]
        padded = np.concatenate([np.zeros(_AUDIO_SAMPLES - len(used), np.float32), used])
        # The file names the output "logits", but the network includes the sigmoid.
        (probabilities,) = self._session.run(None, {"input_features": log_mel(padded)[np.newaxis]})
        return float(probabilities[0, 0])
