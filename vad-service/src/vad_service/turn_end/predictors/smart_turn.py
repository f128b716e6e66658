"""Smart Turn: hears from melody and pace whether somebody is done, in 23 languages, without a transcript.

The model, Whisper's smallest encoder with one answer, was trained on whole turns of up to 8 s with about 200 ms of
silence after them. It answers "done" to plain silence and to noise, so it is asked only after speech.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from service_kit.audio import MICROPHONE
from service_kit.engines.models import model_path

from vad_service.engine import SAMPLES_PER_MS
from vad_service.onnx_model import open_network
from vad_service.settings import VadSettings
from vad_service.speech.events import Opinion
from vad_service.turn_end.predictor import Judgement, Pause
from vad_service.turn_end.predictors.log_mel import Samples, log_mel

_AUDIO_MS = 8000
_AUDIO_SAMPLES = _AUDIO_MS * SAMPLES_PER_MS
# A shorter silence is filled up to what the training had. Asked 96 ms early so, the model gave the same answer to 98 of
# 100 pauses.
_SILENCE_MS = 200


class SmartTurn:
    """The network; one microphone a call, since a call for several takes as long as several calls."""

    name = "smart-turn"
    audio_ms = _AUDIO_MS

    def __init__(self, settings: VadSettings) -> None:
        self._settings = settings
        self._session: Any = None

    def load(self) -> None:
        path = model_path("smart-turn", self._settings.models_lock, self._settings.models_dir)
        # Processors without VNNI add products of 8-bit numbers in 16 bits, where this model's overflow: without this,
        # one clip in ten is judged quite differently. It costs a tenth of the time, and nothing on newer processors.
        self._session = open_network(path, {"session.x64quantprecision": "1"})
        self.probability(np.zeros(MICROPHONE.rate_hz, np.float32))

    def predict(self, pause: Pause) -> Judgement:
        """What was heard already of the same pause is not heard again."""
        if pause.earlier is not None:
            return pause.earlier
        return Judgement(self._judge(pause))

    def opinion(self, pause: Pause) -> Opinion:
        """The same, as a part of another predictor, which keeps it among its opinions."""
        return self.earlier_opinion(pause) or Opinion(self.name, self._judge(pause))

    def earlier_opinion(self, pause: Pause) -> Opinion | None:
        """What was heard already of the same pause, if anything was."""
        earlier = pause.earlier.opinions if pause.earlier else ()
        return next((opinion for opinion in earlier if opinion.name == self.name), None)

    def _judge(self, pause: Pause) -> float:
        missing_ms = max(0, _SILENCE_MS - pause.silence_ms)
        return self.probability(np.concatenate([pause.audio, np.zeros(missing_ms * SAMPLES_PER_MS, np.float32)]))

    def probability(self, audio: Samples) -> float:
        """Probability that a turn ends with `audio`, shape [n], of which the last 8 s count."""
        heard = audio[-_AUDIO_SAMPLES:]
        whole = np.concatenate([np.zeros(_AUDIO_SAMPLES - len(heard), np.float32), heard])
        # Named logits in the file; the sigmoid is part of the network.
        (probabilities,) = self._session.run(None, {"input_features": log_mel(whole)[np.newaxis]})
        return float(probabilities[0, 0])
