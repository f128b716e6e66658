"""What the slots speak, and in which voice: the model's state as the decode loop sees it. Blocking."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from service_kit.errors import EngineFailed

from tts_service.engines.higgs.model.delay import Codes
from tts_service.engines.higgs.model.step import KvPrefix, SpeechModel
from tts_service.engines.higgs.prompt import PhrasePrompt, Tokenize, build_voice_prefix, count_tokens, tokenize_phrase
from tts_service.engines.higgs.voices import speaker_ids

# Voices whose prefix is kept on the device; the one not spoken for longest goes. 15 s of reference are about 50 MB.
_MAX_PREFIXES = 16
# A prompt that leaves less room than this, in rows, cannot be spoken.
_MIN_ROWS = 50


class DecodeSlots:
    """Phrases side by side in one model. Used from one thread."""

    def __init__(self, model: SpeechModel, step: Callable[[], None], tokenize: Tokenize) -> None:
        self._model = model
        # `model.step`, or what was captured of it.
        self._step = step
        self._tokenize = tokenize
        # By voice and scene.
        self._prefixes: OrderedDict[tuple[str, str], KvPrefix] = OrderedDict()
        self._noise = [torch.Generator(model.device) for _ in range(model.slots)]

    @property
    def count(self) -> int:
        """How many phrases can be spoken at a time."""
        return self._model.slots

    @property
    def prefix_bytes(self) -> int:
        """What the voices take that are kept on the device."""
        return sum(part.nbytes for prefix in self._prefixes.values() for part in prefix)

    def prefill(self, slot: int, utterance: PhrasePrompt) -> int:
        """Read the utterance's prompt into the slot; return how many rows there is room for."""
        prompt = tokenize_phrase(self._tokenize, utterance.text)
        start = self._prefill_voice(slot, utterance)
        self._check_context_fits(start + len(prompt))
        position = self._model.prefill(slot, [prompt], start)
        self._model.start_slot(slot, position, utterance.temperature)
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

    def evict_voice(self, voice_id: str) -> None:
        """Drop what is cached of a voice, also where it speaks with others."""
        for key in [key for key in self._prefixes if voice_id in speaker_ids(key[0])]:
            del self._prefixes[key]

    def _prefill_voice(self, slot: int, utterance: PhrasePrompt) -> int:
        key = utterance.voice_id, utterance.scene
        prefix = self._prefixes.get(key)
        if prefix is not None:
            self._prefixes.move_to_end(key)
            return self._model.restore_prefix(slot, prefix)
        pieces = build_voice_prefix(self._tokenize, utterance.references, self._model.books, utterance.scene)
        self._check_context_fits(count_tokens(pieces))
        tokens = self._model.prefill(slot, pieces, 0)
        self._prefixes[key] = self._model.save_prefix(slot, tokens)
        if len(self._prefixes) > _MAX_PREFIXES:
            self._prefixes.popitem(last=False)
        return tokens

    def _check_context_fits(self, tokens: int) -> None:
        if tokens + _MIN_ROWS > self._model.context_tokens:
            raise EngineFailed("tts.context_full", f"voice and phrase take {tokens} places of the model's context")
