"""The loaded model, its voices' states, and the generation of a phrase. Blocking; each slot has its own thread."""
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

# Voice states cached in memory, about 7 MB each; the least recently used one is evicted.
_MAX_STATES = 16


class PhraseGeneration:
    """The generation of one phrase, chunk by chunk. Used from one thread, except for `stop`."""

    def __init__(self, model: Any, state: VoiceState, text: str, seed: int) -> None:
        self._seed: int | None = seed
        self._stopping = threading.Event()
        self._chunks: Iterator[torch.Tensor] = model.generate_audio_stream(state, text, stop=self._stopping)

    def next_samples(self) -> NDArray[np.float32] | None:
        """The next samples, shape [n]; None after the last."""
        if self._seed is not None:
            torch.manual_seed(self._seed)
            self._seed = None
        chunk = next(self._chunks, None)
        return None if chunk is None else chunk.float().numpy()

    def stop(self) -> None:
        """Stop the model after its current step. May be called from any thread."""
        self._stopping.set()

    def stop_and_wait(self) -> None:
        """Stop the model and wait for its end."""
        self.stop()
        for _ in self._chunks:
            pass


class LoadedPocket:
    """One copy of the model per slot, and one for encoding voices; all share the weights."""

    def __init__(self, folder: Path, language: str, temperature: float | None, slots: int) -> None:
        self._encoder = load_model(folder, language, temperature)
        self.rate_hz: int = self._encoder.sample_rate
        self.models = [copy_sharing_weights(self._encoder) for _ in range(slots)]
        self._states: OrderedDict[Path, VoiceState] = OrderedDict()
        self._lock = threading.Lock()

    def check_voice(self, path: Path) -> Path:
        """Return `path` if it holds a voice of this model. Raises `ValueError` if not."""
        read_voice_state(path, self._encoder)
        return path

    def voice_state(self, path: Path) -> VoiceState:
        """The state of the voice in `path`; cached."""
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
        """Drop a voice's cached state."""
        with self._lock:
            self._states.pop(path, None)

    def encode_voice(self, samples: NDArray[np.float32]) -> VoiceState:
        """Encode a recording at the model's rate, shape [n], to a voice's state. Takes seconds. One thread only."""
        return self._encoder.get_state_for_audio_prompt(torch.from_numpy(samples)[None])

    def write_voice(self, path: Path, state: VoiceState) -> None:
        """Write a voice's state to a file."""
        export_model_state(state, path)
