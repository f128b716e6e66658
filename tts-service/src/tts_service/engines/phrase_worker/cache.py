"""The speech of phrases that were spoken before: greetings, openers and answers come again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import dataclass

from service_kit.audio import SAMPLE_BYTES, to_float, to_pcm

from tts_service.engine import Samples, Speech, Word

# A phrase may take at most this share of the cache.
_LARGEST_SHARE = 8


@dataclass(frozen=True, slots=True)
class PhraseKey:
    """What decides how a phrase sounds."""

    text: str
    voice: str
    pace: float
    language: str


class PhraseCache:
    """Complete phrases as PCM16, at most `max_bytes` of them; the one not spoken for longest makes room."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._phrases: OrderedDict[PhraseKey, tuple[Word | bytes, ...]] = OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._phrases)

    def get(self, key: PhraseKey) -> tuple[Word | bytes, ...] | None:
        """Return the phrase's words and audio; None when it is not cached."""
        if key not in self._phrases:
            return None
        self._phrases.move_to_end(key)
        return self._phrases[key]

    async def record(self, key: PhraseKey, speech: AsyncIterable[Speech]) -> AsyncGenerator[Speech]:
        """Pass `speech` on, and keep it once it has ended by itself and held sound."""
        pieces: list[Word | bytes] = []
        async for piece in speech:
            pieces.append(piece if isinstance(piece, Word) else to_pcm(piece.samples))
            yield piece
        self._keep(key, tuple(pieces))

    def _keep(self, key: PhraseKey, pieces: tuple[Word | bytes, ...]) -> None:
        size = _size_of(pieces)
        if not 0 < size <= self._max_bytes // _LARGEST_SHARE or key in self._phrases:
            return
        self._phrases[key] = pieces
        self.size_bytes += size
        while self.size_bytes > self._max_bytes:
            _, oldest = self._phrases.popitem(last=False)
            self.size_bytes -= _size_of(oldest)


async def replay(pieces: tuple[Word | bytes, ...]) -> AsyncGenerator[Speech]:
    """Speak a cached phrase."""
    for piece in pieces:
        yield piece if isinstance(piece, Word) else Samples(to_float(piece))


def _size_of(pieces: tuple[Word | bytes, ...]) -> int:
    audio = sum(len(piece) for piece in pieces if not isinstance(piece, Word))
    return audio - audio % SAMPLE_BYTES
