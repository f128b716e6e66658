"""Text pacing: when to flush text to TTS, and how much. Pure.

Text goes to the TTS late enough that an interruption wastes little synthesis, and early enough that playback never
waits for it: whole sentences, while less than three seconds of speech lie ahead of the playback position. Speech ahead
is synthesised and unheard speech, plus an estimate for text that the TTS has and has not spoken yet.
"""

from __future__ import annotations

import re

# Speech ahead of playback below which the TTS gets the next sentence. The slowest TTS starts within a second.
TARGET_AHEAD_MS = 3_000
# With less synthesised speech than this, a TTS that has gone idle gets more text, whatever the estimate for its text.
MIN_AHEAD_MS = 1_500
_IDLE_S = 0.3
# A fast speaker's time for one character, so that the estimate for text at the TTS is too low rather than too high.
_MS_PER_CHARACTER = 60
# The end of a sentence, and the next word: only the following text shows the TTS that the sentence is over. Splitting
# after an abbreviation does no harm: the TTS recognises abbreviations and waits for the rest.
_BREAK = re.compile(r"(?:[.!?…।॥][\"'”’»)\]]*\s|\n)\s*\S+\s")
# A longer sentence is sent in parts, each as long as the longest phrase that is synthesised at once.
_MAX_CHARS = 160
_SPACE = re.compile(r"\s")


class TextPacer:
    """Releases the text of one reply to the TTS in chunks, from character `start` on."""

    def __init__(self, start: int = 0) -> None:
        self._sent_chars = start
        self._synthesised_chars = start
        # The latest break in the text; text waits at breaks only.
        self._break = start
        self._at_break = False
        # Whether the TTS has returned audio since the last chunk of text.
        self._audio_since_chunk = False

    @property
    def sent_chars(self) -> int:
        """The text up to this character has been released."""
        return self._sent_chars

    def on_synthesised(self, char: int) -> None:
        """Record that the text up to `char` has been synthesised."""
        self._synthesised_chars = max(self._synthesised_chars, min(char, self._sent_chars))

    def on_tts_event(self) -> None:
        """Record that the TTS returned audio."""
        self._audio_since_chunk = True

    def next_chunk(self, text: str, unheard_ms: float, tts_idle_s: float) -> str:
        """The part of `text` to flush to the TTS now; empty while enough speech is ahead, or no text is left.

        `unheard_ms` of speech are synthesised and not heard yet; the TTS has returned nothing for `tts_idle_s`.
        """
        start = self._sent_chars
        while self.has_due_text(text, unheard_ms, tts_idle_s):
            self._audio_since_chunk = False
            end = _next_break(text, self._break, self._sent_chars)
            self._at_break = end is not None
            self._sent_chars = len(text) if end is None else end
            if end is not None:
                self._break = end
        return text[start : self._sent_chars]

    def has_due_text(self, text: str, unheard_ms: float, tts_idle_s: float) -> bool:
        """Whether the TTS should get more text now."""
        if self._sent_chars >= len(text):
            return False
        if not self._at_break:
            return True
        ahead_ms = unheard_ms + (self._sent_chars - self._synthesised_chars) * _MS_PER_CHARACTER
        if ahead_ms < TARGET_AHEAD_MS:
            return True
        return self._audio_since_chunk and unheard_ms < MIN_AHEAD_MS and tts_idle_s >= _IDLE_S


def _next_break(text: str, since: int, after: int) -> int | None:
    """The first break beyond `after` in the text from `since` on; None when there is none yet."""
    sentence = next((match.end() for match in _BREAK.finditer(text, since) if match.end() > after), None)
    long = _SPACE.search(text, max(since + _MAX_CHARS, after))
    ends = [end for end in (sentence, long and long.end()) if end]
    return min(ends, default=None)
