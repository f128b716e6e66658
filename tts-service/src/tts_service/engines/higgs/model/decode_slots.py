"""What the slots speak, and in which voice: the model's state as the decode loop sees it. Blocking."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from service_kit.errors import EngineFailed

from tts_service.engines.higgs.model.delay import Codes
from tts_service.engines.higgs.model.step import Prefix, SpeechModel
from tts_service.engines.higgs.prompt import Encode, Utterance, phrase_tokens, piece_tokens, voice_prefix
from tts_service.engines.higgs.voices import speakers_of

# Voices whose prefix is kept on the device; the one not spoken for longest goes. 15 s of reference are about 50 MB.
_MAX_PREFIXES = 16
# A prompt that leaves less room than this, in rows, cannot be spoken.
_MIN_ROWS = 50


class Slots:
    """Phrases side by side in one model. Used from one thread."""

    def __init__(self, model: SpeechModel, step: Callable[[], None], encode: Encode) -> None:
        self._model = model
        # `model.step`, or what was captured of it.
        self._step = step
        self._encode = encode
        # By voice and scene.
        self._prefixes: OrderedDict[tuple[str, str], Prefix] = OrderedDict()
        self._noise = [torch.Generator(model.device) for _ in range(model.slots)]

    @property
    def count(self) -> int:
        """How many phrases can be spoken at a time."""
        return self._model.slots

    @property
    def prefix_bytes(self) -> int:
        """What the voices take that are kept on the device."""
        return sum(part.nbytes for prefix in self._prefixes.values() for part in prefix)

    def begin(self, slot: int, utterance: Utterance) -> int:
        """Read the utterance's prompt into the slot; return how many rows there is room for."""
        prompt = phrase_tokens(self._encode, utterance.text)
        start = self._begin_voice(slot, utterance)
        self._check_room(start + len(prompt))
        position = self._model.read(slot, [prompt], start)
        self._model.begin(slot, position, utterance.temperature)
        self._noise[slot].manual_seed(utterance.seed)
        return self._model.context_tokens - position

    def step(self, active: frozenset[int]) -> Codes:
        """Step the `active` slots; the next rows of all, shape [slots, books]. What the others say means nothing."""
        speaking = [slot in active for slot in range(self.count)]
        self._model.active.copy_(torch.tensor(speaking, dtype=torch.long))
        for slot in active:
            self._model.draws[slot].exponential_(generator=self._noise[slot])
        self._step()
        return self._model.row.cpu().numpy().copy()

    def forget(self, voice_id: str) -> None:
        """Drop what is cached of a voice, also where it speaks with others."""
        for key in [key for key in self._prefixes if voice_id in speakers_of(key[0])]:
            del self._prefixes[key]

    def _begin_voice(self, slot: int, utterance: Utterance) -> int:
        key = utterance.voice_id, utterance.scene
        prefix = self._prefixes.get(key)
        if prefix is not None:
            self._prefixes.move_to_end(key)
            return self._model.restore(slot, prefix)
        pieces = voice_prefix(self._encode, utterance.references, self._model.books, utterance.scene)
        self._check_room(piece_tokens(pieces))
        tokens = self._model.read(slot, pieces, 0)
        self._prefixes[key] = self._model.saved(slot, tokens)
        if len(self._prefixes) > _MAX_PREFIXES:
            self._prefixes.popitem(last=False)
        return tokens

    def _check_room(self, tokens: int) -> None:
        if tokens + _MIN_ROWS > self._model.context_tokens:
            raise EngineFailed("tts.context_full", f"voice and phrase take {tokens} places of the model's context")
