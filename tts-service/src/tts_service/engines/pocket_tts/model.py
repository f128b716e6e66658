"""What speaks: the model with its voices. Blocking; each speaker has a thread of its own."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pocket_tts import export_model_state

from tts_service.engines.pocket_tts.loading import VoiceState, copy_sharing_weights, load_model, read_voice_state

# Voices whose state is kept in memory, about 7 MB each; the one not spoken with for longest goes.
_MAX_STATES = 16


class PhraseGeneration:
    """The speech of one phrase, piece by piece. Used from one thread, but for `stop`."""

    def __init__(self, model: Any, state: VoiceState, text: str, seed: int) -> None:
        self._seed: int | None = seed
        self._stopping = threading.Event()
        self._chunks: Iterator[torch.Tensor] = model.generate_audio_stream(state, text, stop=self._stopping)

    def next_samples(self) -> NDArray[np.float32] | None:
        """The next samples, shape [n]; None after the last."""
        if self._seed is not None:
            torch.manual_seed(self._seed)
            self._seed = None
        piece = next(self._chunks, None)
        return None if piece is None else piece.float().numpy()

    def stop(self) -> None:
        """Let the model end after the step it is in. May be called from any thread."""
        self._stopping.set()

    def stop_and_wait(self) -> None:
        """Stop, and wait until the model has."""
        self.stop()
        for _ in self._chunks:
            pass


class LoadedPocket:
    """The model for as many phrases as are spoken at a time, and one to learn voices with; all share the weights."""

    def __init__(self, folder: Path, temperature: float | None, slots: int) -> None:
        self._encoder = load_model(folder, temperature)
        self.rate_hz: int = self._encoder.sample_rate
        self.models = [copy_sharing_weights(self._encoder) for _ in range(slots)]
        self._states: OrderedDict[Path, VoiceState] = OrderedDict()
        self._lock = threading.Lock()

    def check_voice(self, path: Path) -> Path:
        """`path`, when it is a voice of this model. Raises `ValueError` when not."""
        read_voice_state(path, self._encoder)
        return path

    def voice_state(self, path: Path) -> VoiceState:
        """The state of the voice in `path`, read once as long as it is in use."""
        with self._lock:
            if path in self._states:
                self._states.move_to_end(path)
                return self._states[path]
        state = read_voice_state(path, self._encoder)
        with self._lock:
            self._states[path] = state
            if len(self._states) > _MAX_STATES:
                self._states.popitem(last=False)
        return state

    def evict_voice(self, path: Path) -> None:
        """Drop what is kept of a voice."""
        with self._lock:
            self._states.pop(path, None)

    def encode_voice(self, samples: NDArray[np.float32]) -> VoiceState:
        """How the voice in a recording at the model's rate sounds. Takes seconds; used from one thread."""
        return self._encoder.get_state_for_audio_prompt(torch.from_numpy(samples)[None])

    def write_voice(self, path: Path, state: VoiceState) -> None:
        """Keep a voice's state."""
        export_model_state(state, path)
