"""The texts of a session's last replies, so that the anchor can speak one again or go on where it was cut off."""

from __future__ import annotations

from dataclasses import dataclass

# Characters of all texts together; a reply of some minutes has 4000. The newest text is kept at any length.
_MAX_CHARS = 40_000


@dataclass(frozen=True, slots=True)
class SpokenReply:
    """One reply: its text, the heard beginning of it, and its language, which is empty when unknown."""

    text: str
    heard: str
    language: str = ""

    def from_cut(self) -> str:
        """The text after the heard words; empty when all was heard."""
        text, heard = self.text.strip(), self.heard.strip()
        return text[len(heard) :].lstrip() if text.startswith(heard) else ""


class SpokenReplies:
    """The last replies by their turns, the oldest dropped beyond `_MAX_CHARS`."""

    def __init__(self) -> None:
        self._replies: dict[int, SpokenReply] = {}

    def add(self, turn_id: int, reply: SpokenReply) -> None:
        """Add the reply of a turn; it replaces an earlier one."""
        self._replies.pop(turn_id, None)
        self._replies[turn_id] = reply
        chars = sum(len(each.text) for each in self._replies.values())
        while chars > _MAX_CHARS and len(self._replies) > 1:
            chars -= len(self._replies.pop(next(iter(self._replies))).text)

    def find(self, turn_id: int) -> SpokenReply | None:
        """The reply of a turn; None when it is not among the last."""
        return self._replies.get(turn_id)
