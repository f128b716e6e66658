"""Closes the gaps that removed markup leaves: one space between words, none before a mark or at the start. Pure."""

from __future__ import annotations

import re

from orchestrator.conversation.output.normalisation.scanner import Scanner, Step

# Stands where markup was removed; private, and removed from generated text.
REMOVED = "\ue000"
_GAP = re.compile(rf"[ \t\n{REMOVED}]+")
_TEXT = re.compile(rf"[^ \t\n{REMOVED}]+")
_CLOSING_MARKS = ".,;:!?)]}…।॥%"


class Spacing(Scanner):
    """Closes the gaps of one reply. A paragraph's end stays: two new lines at most."""

    def __init__(self) -> None:
        super().__init__()
        self._has_text = False

    def _step(self, text: str, at: int, final: bool) -> Step:
        gap = _GAP.match(text, at)
        if gap is None:
            found = _TEXT.match(text, at)
            self._has_text = True
            return (found.end(), found[0]) if found else (at + 1, text[at])
        if gap.end() == len(text):
            # The gap may become longer; at the end of the text, it is dropped.
            return (gap.end(), "") if final else None
        if not self._has_text:
            return gap.end(), ""
        following, removed = text[gap.end()], REMOVED in gap[0]
        if newlines := gap[0].count("\n"):
            return gap.end(), "\n" * min(newlines, 2)
        if removed and (gap[0].strip(REMOVED) == "" or following in _CLOSING_MARKS):
            return gap.end(), ""
        return gap.end(), " "
