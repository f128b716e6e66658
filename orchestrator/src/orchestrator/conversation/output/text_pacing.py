"""Pacing: how much of a reply's text the voice is given, and when. Pure.

Text goes to the voice late enough that an interruption wastes little of its work, and early enough that the ear never
waits for it: whole sentences, while less than three seconds of speech are in hand. In hand is what was made and not
yet heard, and what the text that lies at the voice will become.
"""

from __future__ import annotations

import re

# Speech in hand below which the voice is given the next sentence. The slowest voice begins within a second.
TARGET_AHEAD_MS = 3_000
# With so little made, a voice that has gone quiet is given more, whatever the text at it was held to become.
MIN_AHEAD_MS = 1_500
_QUIET_S = 0.3
# A fast speaker's time for one character, so that text at the voice counts for too little, not too much.
_MS_PER_CHARACTER = 60
# The end of a sentence, and the next word: only what follows shows the voice that the sentence is over. An
# abbreviation taken for an end does no harm; the voice, which knows them, waits for the rest.
_BREAK = re.compile(r"(?:[.!?…।॥][\"'”’»)\]]*\s|\n)\s*\S+\s")
# A sentence longer than this is given in parts: as long as the longest phrase that is spoken at once.
_MAX_CHARS = 160
_SPACE = re.compile(r"\s")


class TextPacer:
    """Hands on the text of one reply, from character `start` on."""

    def __init__(self, start: int = 0) -> None:
        self._sent_chars = start
        self._synthesised_chars = start
        # Where the text was last broken; it waits there, and nowhere else.
        self._break = start
        self._at_break = False
        # Whether the voice has said anything since it was last given text.
        self._answered = False

    @property
    def sent_chars(self) -> int:
        """The text up to here has been handed on."""
        return self._sent_chars

    def on_synthesised(self, to: int) -> None:
        """Speech has been made of the text up to here."""
        self._synthesised_chars = max(self._synthesised_chars, min(to, self._sent_chars))

    def on_tts_event(self) -> None:
        """The voice has said something."""
        self._answered = True

    def next_chunk(self, text: str, unheard_ms: float, quiet_s: float) -> str:
        """What of `text` the voice gets now; empty while it has enough, or all there is.

        `unheard_ms` of speech have been made and not yet heard; the voice has said nothing for `quiet_s`.
        """
        start = self._sent_chars
        while self.has_due_text(text, unheard_ms, quiet_s):
            self._answered = False
            end = _next_break(text, self._break, self._sent_chars)
            self._at_break = end is not None
            self._sent_chars = len(text) if end is None else end
            if end is not None:
                self._break = end
        return text[start : self._sent_chars]

    def has_due_text(self, text: str, unheard_ms: float, quiet_s: float) -> bool:
        """Whether there is text that the voice should get now."""
        if self._sent_chars >= len(text):
            return False
        if not self._at_break:
            return True
        in_hand_ms = unheard_ms + (self._sent_chars - self._synthesised_chars) * _MS_PER_CHARACTER
        return in_hand_ms < TARGET_AHEAD_MS or (self._answered and unheard_ms < MIN_AHEAD_MS and quiet_s >= _QUIET_S)


def _next_break(text: str, since: int, after: int) -> int | None:
    """The first place beyond `after` where the text since `since` may be broken; None when there is none yet."""
    sentence = next((match.end() for match in _BREAK.finditer(text, since) if match.end() > after), None)
    long = _SPACE.search(text, max(since + _MAX_CHARS, after))
    ends = [end for end in (sentence, long and long.end()) if end]
    return min(ends, default=None)
