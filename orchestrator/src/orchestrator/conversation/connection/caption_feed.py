"""The captions of one session for those who only watch: what is said now, and how far the reply has sounded.

Overflow rule: for each of the last turns a watcher has only the newest caption waiting, so that one that reads slowly
skips states and never gets an old one. Nothing here waits for a watcher.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from service_kit.errors import AtCapacity

from orchestrator.conversation.messages.server import (
    BargeInSettled,
    BargeInVerdict,
    FinalTranscript,
    PartialTranscript,
    ReplyFinished,
    ReplyStarted,
    ReplyText,
    ServerMessage,
    SpeechMark,
    TurnCommitted,
    TurnFailed,
    TurnSpoken,
)
from orchestrator.conversation.model.events import is_stop

MAX_WATCHERS = 8
# The turn being answered, the open turn, and the one before.
_TURNS = 3


@dataclass(frozen=True, slots=True)
class TurnCaption:
    """One turn as it is now."""

    turn_id: int
    user_text: str = ""
    # ISO 639-1; empty while unknown.
    user_language: str = ""
    # Whether `user_text` will not change any more.
    user_final: bool = False
    # Name of the persona that speaks; empty before a reply.
    speaker: str = ""
    reply_text: str = ""
    reply_language: str = ""
    # Characters of `reply_text` that have sounded, the word that sounds included, in Unicode code points.
    spoken_chars: int = 0
    # Whether nothing of the turn will sound any more.
    over: bool = False
    # Whether the turn turned out to be none, or was corrected: its text is to be removed.
    removed: bool = False


class CaptionWatcher:
    """What waits for one watcher."""

    def __init__(self) -> None:
        self._waiting: dict[int, TurnCaption] = {}
        self._changed = asyncio.Event()
        self._closed = False

    def offer(self, caption: TurnCaption) -> None:
        """Let `caption` wait, in the place of an older one of its turn."""
        self._waiting[caption.turn_id] = caption
        while len(self._waiting) > _TURNS:
            del self._waiting[min(self._waiting)]
        self._changed.set()

    def close(self) -> None:
        """The session is over."""
        self._closed = True
        self._changed.set()

    async def next(self) -> TurnCaption | None:
        """The next caption; None once the session is over and nothing waits."""
        while not self._waiting:
            if self._closed:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._waiting.pop(min(self._waiting))


class CaptionFeed:
    """Follows the messages of a session, and offers each change of its last turns to the watchers."""

    def __init__(self) -> None:
        self._captions: dict[int, TurnCaption] = {}
        # By turn: where in the reply's audio each mark begins, in milliseconds, and the end of its text.
        self._marks: dict[int, list[tuple[int, int]]] = {}
        self._watchers: set[CaptionWatcher] = set()
        self._closed = False

    @contextmanager
    def watch(self) -> Generator[CaptionWatcher]:
        """Watch until the context is left, from the present turn on. Raises `AtCapacity` beyond `MAX_WATCHERS`."""
        if len(self._watchers) >= MAX_WATCHERS:
            raise AtCapacity("watch.at_capacity", f"{MAX_WATCHERS} watch this conversation already")
        watcher = CaptionWatcher()
        for caption in self._captions.values():
            if not caption.over:
                watcher.offer(caption)
        if self._closed:
            watcher.close()
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def close(self) -> None:
        """The session is over: every watcher ends."""
        self._closed = True
        for watcher in self._watchers:
            watcher.close()

    def record(self, message: ServerMessage) -> None:
        """Follow a message to the client; others than captions are none of the watchers' business."""
        match message:
            case PartialTranscript():
                self._update(message.turn_id, user_text=message.text)
            case FinalTranscript():
                self._update(message.turn_id, user_text=message.text, user_language=message.language)
            case TurnCommitted():
                if message.replaces_turn_id is not None:
                    self._remove(message.replaces_turn_id)
                self._update(message.turn_id, user_text=message.text, user_final=True)
            case BargeInSettled() if not is_stop(message.verdict):
                self._remove(message.turn_id)
                if message.verdict is BargeInVerdict.BARGE_IN_VERDICT_CONTINUATION:
                    # The reply is withdrawn, and its turn goes on.
                    self._update(message.reply_turn_id, user_final=False, reply_text="", spoken_chars=0)
            case ReplyStarted():
                self._marks[message.turn_id] = []
                self._update(message.turn_id, reply_text="", spoken_chars=0, over=False)
            case ReplyText():
                text = self._caption(message.turn_id).reply_text + message.text
                self._update(message.turn_id, reply_text=text)
            case SpeechMark():
                self._marks.setdefault(message.turn_id, []).append((message.offset_ms, message.text_end))
            case TurnSpoken():
                self._update(message.turn_id, speaker=message.speaker, reply_language=message.language)
            case ReplyFinished():
                self._update(message.turn_id, spoken_chars=len(message.heard_text), over=True)
            case TurnFailed():
                self._update(message.turn_id, over=True)
            case _:
                pass

    def on_heard(self, turn_id: int, heard_ms: int) -> None:
        """The reply to a turn was heard up to `heard_ms`; without marks, all of its text counts as sounding."""
        caption = self._captions.get(turn_id)
        if caption is None or caption.over or heard_ms <= 0:
            return
        marks = self._marks.get(turn_id)
        if not marks:
            self._update(turn_id, spoken_chars=len(caption.reply_text))
        elif reached := bisect_right(marks, heard_ms, key=lambda mark: mark[0]):
            self._update(turn_id, spoken_chars=marks[reached - 1][1])

    def _caption(self, turn_id: int) -> TurnCaption:
        return self._captions.get(turn_id) or TurnCaption(turn_id)

    def _update(self, turn_id: int, **fields: object) -> None:
        known = self._captions.get(turn_id)
        if known is None and self._captions and turn_id < min(self._captions):
            # Too old to be shown.
            return
        caption = replace(self._caption(turn_id), **fields)
        if caption == known:
            return
        self._captions[turn_id] = caption
        while len(self._captions) > _TURNS:
            oldest = min(self._captions)
            del self._captions[oldest]
            self._marks.pop(oldest, None)
        self._offer(caption)

    def _remove(self, turn_id: int) -> None:
        self._marks.pop(turn_id, None)
        if self._captions.pop(turn_id, None) is not None:
            self._offer(TurnCaption(turn_id, over=True, removed=True))

    def _offer(self, caption: TurnCaption) -> None:
        for watcher in self._watchers:
            watcher.offer(caption)
