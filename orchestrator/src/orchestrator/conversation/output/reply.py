"""A reply: one task that generates text, synthesises it and plays it out. Cancelling that task is barge-in."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Protocol

from service_kit.errors import AnchorError, PeerFailed
from service_kit.tasks import run_together

from orchestrator.conversation.connection.outbox import Outbox
from orchestrator.conversation.echo.playback_reference import PlaybackReference
from orchestrator.conversation.echo.transcript_echo import PlaybackContext, playback_context
from orchestrator.conversation.messages.server import (
    ReplyFinished,
    ReplySources,
    ReplyStarted,
    ReplyText,
    ServerMessage,
    TurnFailed,
)
from orchestrator.conversation.model.history import heard_text
from orchestrator.conversation.model.idle_timeout import IdleTimeout
from orchestrator.conversation.model.ports import ReplyPiece, TextToSpeech
from orchestrator.conversation.observability.waterfall import Waterfall
from orchestrator.conversation.output.normalisation.normaliser import TextNormaliser
from orchestrator.conversation.output.playout import Playout
from orchestrator.conversation.output.synthesis import ReplySynthesis, SpeechSettings
from orchestrator.metrics import SPEECH_WASTED_MS, UNDERRUN_MS, UNDERRUNS

log = logging.getLogger(__name__)

# A language model that generates nothing for this long, after its first token, has failed.
LLM_TIMEOUT_S = 8.0
# Without any words this long after the reply may sound, the persona's filler is spoken, once.
_FILLER_AFTER_S = 1.0
# The bound of `reply_sources`.
_MAX_SOURCES = 4
# A client is at most two seconds of speech behind what it was sent.
_MAX_UPCOMING = 16


class ReplyListener(Protocol):
    """What a reply reports to the session."""

    def on_first_frame_sent(self, turn_id: int) -> None:
        """The first frame of the reply was sent."""
        ...

    def on_first_sample_heard(self, turn_id: int, at_s: float) -> None:
        """The first sample of the reply was heard at `at_s`, on the loop's clock."""
        ...

    def on_report_overdue(self) -> None:
        """The client sends no playback reports."""
        ...

    def on_heard_more(self, reply: Reply) -> None:
        """The playback position may have moved."""
        ...


class ReasoningSpoken(Exception):
    """The text so far turned out to be reasoning: the reply has to be discarded, and to start over behind it.

    `normaliser` continues with the deltas that follow; `text` is the beginning of the answer.
    """

    def __init__(self, normaliser: TextNormaliser, text: str) -> None:
        super().__init__("the text so far is reasoning")
        self.normaliser = normaliser
        self.text = text


class Reply:
    """One reply to one revision of a turn. Its messages and audio are held back until `release`.

    `deltas` is the generated text, of any language model; the caller closes it. `first_token_s` bounds the wait for it.
    Replies of `reasoning_engines` are known to begin with it, until one does not; `normaliser` and `text` continue a
    reply that began with reasoning. `listener` is notified of the stages of its
    playout.
    """

    def __init__(
        self,
        *,
        turn_id: int,
        engine_name: Callable[[], str],
        deltas: AsyncGenerator[str],
        first_token_s: float,
        tts_chain: Sequence[TextToSpeech],
        speech_settings: SpeechSettings,
        outbox: Outbox,
        reports_playback: bool,
        waterfall: Waterfall,
        listener: ReplyListener,
        playback_reference: PlaybackReference,
        reasoning_engines: set[str],
        normaliser: TextNormaliser | None = None,
        text: str = "",
    ) -> None:
        self.turn_id = turn_id
        self.waterfall = waterfall
        # What belongs to this reply refers to it weakly, and so does this reply to its listener, whose it is: otherwise
        # only the garbage collector would free the speech of a reply that is over.
        self.playout = Playout(turn_id, outbox, reports_playback, weakref.proxy(self), playback_reference)
        send = weakref.WeakMethod(self._send_or_hold)
        self._synthesis = ReplySynthesis(
            turn_id=turn_id,
            tts_chain=tts_chain,
            settings=speech_settings,
            playout=self.playout,
            waterfall=waterfall,
            send=lambda message: _call(send, message),
        )
        self._engine_name = engine_name
        # The engine that the client was told.
        self._announced_engine = ""
        self._deltas = deltas
        self._first_token_s = first_token_s
        self._reasoning_engines = reasoning_engines
        self._normaliser = normaliser
        self._first_text = text
        self._settings = speech_settings
        self._filler_timer: asyncio.TimerHandle | None = None
        # Whether there are any words, any but the filler, and the language of the latest; empty for the reply's.
        self._has_text = False
        self._has_answer = False
        self._text_language = ""
        self._language = speech_settings.language
        self._outbox = outbox
        self._listener: ReplyListener = weakref.proxy(listener)
        self._now_s = asyncio.get_running_loop().time
        # When the first sample was heard, by reports or by the estimate, on the loop's clock.
        self.first_heard_s: float | None = None
        self._released = False
        self._held_messages: list[ServerMessage] = []

    def release(self) -> None:
        """Send the messages held so far, then start playout."""
        self._released = True
        self._announce_engine()
        for message in self._held_messages:
            self._outbox.send(message)
        self._held_messages.clear()
        self.playout.release()
        if self._settings.filler and not self._has_text:
            self._filler_timer = asyncio.get_running_loop().call_later(_FILLER_AFTER_S, self._speak_filler)

    @property
    def is_released(self) -> bool:
        """Whether the reply was released."""
        return self._released

    @property
    def engine_name(self) -> str:
        """The engine that generates the text."""
        return self._engine_name()

    async def run(self) -> None:
        """Generate and synthesise the reply, and wait until all of it has been heard."""
        try:
            await run_together(
                self._in_stage("think", self._generate_text),
                self._in_stage("speak", self._synthesis.run),
                self.playout.run(),
            )
        finally:
            self._stop_filler()

    def finished_message(self, interrupted: bool) -> ReplyFinished:
        """The message that ends the reply, with the heard text that enters history.

        A reply that lost its voice counts as interrupted there.
        """
        synthesis = self._synthesis
        heard_ms = self.playout.heard_ms
        # The rest was shown, but not heard.
        interrupted = interrupted or synthesis.is_voice_lost
        heard = heard_text(synthesis.text, synthesis.marks, heard_ms, None if interrupted else synthesis.duration_ms)
        if synthesis.is_text_only and not interrupted:
            # Captions are how this conversation is followed.
            heard = synthesis.text.strip()
        # Without marks, the heard words are a guess, unless none were heard.
        estimated = not self.playout.reports_playback or (interrupted and heard_ms > 0 and not synthesis.marks)
        return ReplyFinished(self.turn_id, heard, heard_ms, interrupted, estimated=estimated)

    @property
    def text(self) -> str:
        """The text so far."""
        return self._synthesis.text

    def upcoming_text(self) -> tuple[tuple[int, str], ...]:
        """The heard text at each mark, and at the end, of the speech that was sent and not heard: (ms, text)."""
        synthesis, playout = self._synthesis, self.playout
        heard_ms, sent_ms = playout.heard_ms, playout.sent_ms
        # A mark's own time is the end of the span before it.
        offsets = [mark.offset_ms for mark in synthesis.marks if heard_ms < mark.offset_ms <= sent_ms]
        if synthesis.duration_ms is not None and synthesis.duration_ms <= sent_ms:
            offsets.append(synthesis.duration_ms)
        return tuple(
            (at_ms, heard_text(synthesis.text, synthesis.marks, at_ms, synthesis.duration_ms))
            for at_ms in offsets[:_MAX_UPCOMING]
        )

    def playback_context(self, for_ms: int) -> PlaybackContext:
        """The part of the reply that may echo in an utterance that began `for_ms` ago."""
        synthesis = self._synthesis
        if not self.playout.sent_ms:
            return PlaybackContext(language=self._language)
        return playback_context(
            synthesis.text,
            synthesis.marks,
            at_ms=self.playout.heard_ms,
            for_ms=for_ms,
            duration_ms=synthesis.duration_ms,
            language=self._language,
        )

    def record_metrics(self) -> dict[str, int]:
        """Add wasted speech and underruns to the metrics, once the reply is over; return them for the log."""
        wasted_ms = self.playout.wasted_ms
        underruns, underrun_ms = self.playout.underruns()
        SPEECH_WASTED_MS.observe(wasted_ms)
        UNDERRUNS.inc(underruns)
        UNDERRUN_MS.inc(underrun_ms)
        return {"wasted_ms": round(wasted_ms), "underruns": underruns, "underrun_ms": round(underrun_ms)}

    async def _in_stage(self, stage: str, work: Callable[[], Awaitable[None]]) -> None:
        with self.waterfall.trace.open_stage(stage):
            await work()

    async def _generate_text(self) -> None:
        self._add_text(self._first_text)
        timeout = IdleTimeout(self._first_token_s)
        try:
            async with timeout:
                async for delta in self._deltas:
                    timeout.timeout_s = LLM_TIMEOUT_S
                    timeout.reset()
                    self._push_delta(delta)
                self._end_normaliser()
        except TimeoutError:
            reason = f"the model generated nothing for {timeout.timeout_s:.0f} s"
            self._append_apology(PeerFailed("llm.silent", reason))
        except AnchorError as error:
            self._append_apology(error)
        if not self._has_answer and self._normaliser is not None and self._normaliser.has_hidden:
            self._append_apology(PeerFailed("llm.empty", "the model wrote reasoning only, and no answer"))
        self._stop_filler()
        self._synthesis.end_text()

    def _push_delta(self, delta: str) -> None:
        if not delta:
            return
        self.waterfall.record_stage("first_token", self._now_s())
        piece = ReplyPiece.of(delta)
        if piece.sources:
            self._send_or_hold(ReplySources(self.turn_id, piece.sources[:_MAX_SOURCES]))
        normaliser = self._normaliser
        if normaliser is None:
            normaliser = self._normaliser = TextNormaliser(
                self._language,
                self._settings.code_phrase,
                begins_in_reasoning=self._engine_name() in self._reasoning_engines,
            )
        self._add_text(normaliser.change_language(piece.language or self._language), self._text_language)
        self._text_language = piece.language
        visible = normaliser.push_text(delta)
        if visible.withdraws:
            raise ReasoningSpoken(normaliser, visible.text)
        self._add_text(visible.text, piece.language)

    def _end_normaliser(self) -> None:
        if self._normaliser is not None:
            self._add_text(self._normaliser.end_text().text, self._text_language)
            if self._normaliser.lacks_reasoning:
                # The model, or its template, has changed: the next reply is not waited for.
                self._reasoning_engines.discard(self._engine_name())

    def _append_apology(self, error: AnchorError) -> None:
        """End the text generated so far with the persona's apology."""
        log.warning("generation failed", extra={"code": error.code, "reason": error.message})
        self.waterfall.trace.record_failure(error.code, "think")
        self._send_or_hold(TurnFailed(self.turn_id, error.code, error.message))
        self._end_normaliser()
        text = self._synthesis.text
        gap = " " if text and not text.endswith((" ", "\n")) else ""
        self._add_text(gap + self._settings.apology)

    def _add_text(self, text: str, language: str = "", *, is_filler: bool = False) -> None:
        """Append normalised text: the same text is spoken, captioned and remembered."""
        if not text:
            return
        if self._released and not self._has_answer and self._engine_name() != self._announced_engine:
            # Another took over before its first words; of the text so far, there is the filler at most.
            self._announce_engine()
            if self._synthesis.text:
                self._outbox.send(ReplyText(self.turn_id, self._synthesis.text))
        self._has_answer = self._has_answer or not is_filler
        if text.strip():
            self._has_text = True
            self._stop_filler()
        self._synthesis.add_text(text, language)
        self._send_or_hold(ReplyText(self.turn_id, text))

    def _announce_engine(self) -> None:
        self._announced_engine = self._engine_name()
        self._outbox.send(ReplyStarted(self.turn_id, self._announced_engine))

    def _speak_filler(self) -> None:
        self._filler_timer = None
        if not self._has_text:
            self._add_text(f"{self._settings.filler} ", is_filler=True)

    def _stop_filler(self) -> None:
        if self._filler_timer is not None:
            self._filler_timer.cancel()
            self._filler_timer = None

    def _send_or_hold(self, message: ServerMessage) -> None:
        if self._released:
            self._outbox.send(message)
        else:
            self._held_messages.append(message)

    # Called by the playout ------------------------------------------------------------------------------------------

    def on_progress(self) -> None:
        """The playback position may have moved."""
        self._synthesis.on_playback_progress()
        self._listener.on_heard_more(self)

    def on_first_frame_sent(self) -> None:
        """The first frame was sent."""
        self.waterfall.record_stage("first_frame_sent", self._now_s())
        self._listener.on_first_frame_sent(self.turn_id)

    def on_first_sample_heard(self, at_s: float) -> None:
        """The first sample was heard at `at_s`, on the loop's clock."""
        self.first_heard_s = at_s
        if self.playout.reports_playback:
            self.waterfall.record_stage("first_sample_heard", at_s)
        self._listener.on_first_sample_heard(self.turn_id, at_s)

    def on_report_overdue(self) -> None:
        """The client declared playback reports and sends none: the playback position becomes an estimate."""
        self._listener.on_report_overdue()
        self.playout.estimate_playback()


def _call(method: weakref.WeakMethod[Callable[[ServerMessage], None]], message: ServerMessage) -> None:
    if (send := method()) is not None:
        send(message)
