"""The decode slots: prefills prompts, caches voice prefixes, and steps the model for the decode loop. Blocking."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from service_kit.errors import EngineFailed

from tts_service.engines.higgs.delay import Codes
from tts_service.engines.higgs.model.step import KvPrefix, SpeechModel
from tts_service.engines.higgs.prompt import PhrasePrompt, Tokenize, build_voice_prefix, count_tokens, tokenize_phrase
from tts_service.engines.higgs.voices import speaker_ids

# Tokens of the voice prefixes cached on the device, which `anchor plan` sets aside: 16 voices, each with a reference of
# 15 s and its transcript. Beyond them, the least recently used prefix is evicted.
CACHED_PREFIX_TOKENS = 7200
# A prompt that leaves room for fewer rows than this is refused.
_MIN_ROWS = 50


class DecodeSlots:
    """Decodes several phrases side by side in one model. Used from one thread."""

    def __init__(self, model: SpeechModel, step: Callable[[], None], tokenize: Tokenize) -> None:
        self._model = model
        # `model.step`, or its captured graph.
        self._step = step
        self._tokenize = tokenize
        # By voice id and scene.
        self._prefixes: OrderedDict[tuple[str, str], KvPrefix] = OrderedDict()
        self._noise = [torch.Generator(model.device) for _ in range(model.slots)]

    @property
    def count(self) -> int:
        """Number of slots."""
        return self._model.slots

    @property
    def prefix_bytes(self) -> int:
        """Size of the cached voice prefixes."""
        return sum(part.nbytes for prefix in self._prefixes.values() for part in prefix)

    def prefill(self, slot: int, prompt: PhrasePrompt) -> int:
        """Prefill the prompt into the slot; return the number of rows that fit into the context."""
        tokens = tokenize_phrase(self._tokenize, prompt.text)
        start = self._prefill_voice(slot, prompt)
        self._check_context_fits(start + len(tokens))
        position = self._model.prefill(slot, [tokens], start)
        self._model.start_slot(slot, position, prompt.temperature)
        self._noise[slot].manual_seed(prompt.seed)
        return self._model.context_tokens - position

    def step(self, active: frozenset[int]) -> Codes:
        """Step the `active` slots; return the next rows, shape [slots, books], undefined for inactive slots."""
        mask = [slot in active for slot in range(self.count)]
        self._model.active.copy_(torch.tensor(mask, dtype=torch.long))
        for slot in active:
            self._model.draws[slot].exponential_(generator=self._noise[slot])
        self._step()
        return self._model.row.cpu().numpy().copy()

    def evict_voice(self, voice_id: str) -> None:
        """Drop the cached prefixes of a voice, also those of multi-speaker voices with it."""
        for key in [key for key in self._prefixes if voice_id in speaker_ids(key[0])]:
            del self._prefixes[key]

    def _prefill_voice(self, slot: int, prompt: PhrasePrompt) -> int:
        key = prompt.voice_id, prompt.scene
        prefix = self._prefixes.get(key)
        if prefix is not None:
            self._prefixes.move_to_end(key)
            return self._model.restore_prefix(slot, prefix)
        pieces = build_voice_prefix(self._tokenize, prompt.references, self._model.books, prompt.scene)
        self._check_context_fits(count_tokens(pieces))
        tokens = self._model.prefill(slot, pieces, 0)
        self._prefixes[key] = self._model.save_prefix(slot, tokens)
        # The newest always stays: it is in use.
        while self._cached_tokens > CACHED_PREFIX_TOKENS and len(self._prefixes) > 1:
            self._prefixes.popitem(last=False)
        return tokens

    @property
    def _cached_tokens(self) -> int:
        return sum(keys.shape[2] for keys, _ in self._prefixes.values())

    def _check_context_fits(self, tokens: int) -> None:
        if tokens + _MIN_ROWS > self._model.context_tokens:
            raise EngineFailed("tts.context_full", f"voice and phrase take {tokens} tokens of the model's context")
