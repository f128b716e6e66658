"""A reply: one task that generates text, synthesises it and plays it out. Cancelling that task is barge-in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
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
from orchestrator.conversation.output.playout import Playout
from orchestrator.conversation.output.synthesis import ReplySynthesis, SpeechSettings
from orchestrator.metrics import SPEECH_WASTED_MS, UNDERRUN_MS, UNDERRUNS

log = logging.getLogger(__name__)

# A language model that generates nothing for this long has failed.
_LLM_TIMEOUT_S = 8.0
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


class Reply:
    """One reply to one revision of a turn. Its messages and audio are held back until `release`.

    `listener` is notified of the stages of its playout.
    """

    def __init__(
        self,
        *,
        turn_id: int,
        engine_name: Callable[[], str],
        generate_text: Callable[[], AsyncGenerator[str]],
        tts_chain: Sequence[TextToSpeech],
        speech_settings: SpeechSettings,
        outbox: Outbox,
        reports_playback: bool,
        waterfall: Waterfall,
        listener: ReplyListener,
        playback_reference: PlaybackReference,
    ) -> None:
        self.turn_id = turn_id
        self.waterfall = waterfall
        self.playout = Playout(turn_id, outbox, reports_playback, self, playback_reference)
        self._synthesis = ReplySynthesis(
            turn_id=turn_id,
            tts_chain=tts_chain,
            settings=speech_settings,
            playout=self.playout,
            waterfall=waterfall,
            send=self._send_or_hold,
        )
        self._engine_name = engine_name
        self._generate = generate_text
        self._apology = speech_settings.apology
        self._language = speech_settings.language
        self._outbox = outbox
        self._listener = listener
        self._now_s = asyncio.get_running_loop().time
        self._released = False
        self._held_messages: list[ServerMessage] = []

    def release(self) -> None:
        """Send the messages held so far, then start playout."""
        self._released = True
        self._outbox.send(ReplyStarted(self.turn_id, self._engine_name()))
        for message in self._held_messages:
            self._outbox.send(message)
        self._held_messages.clear()
        self.playout.release()

    async def run(self) -> None:
        """Generate and synthesise the reply, and wait until all of it has been heard."""
        await run_together(
            self._in_stage("think", self._generate_text),
            self._in_stage("speak", self._synthesis.run),
            self.playout.run(),
        )

    def finished_message(self, interrupted: bool) -> ReplyFinished:
        """The message that ends the reply, with the heard text that enters history."""
        synthesis = self._synthesis
        heard_ms = self.playout.heard_ms
        heard = heard_text(synthesis.text, synthesis.marks, heard_ms, None if interrupted else synthesis.duration_ms)
        if synthesis.is_text_only and not interrupted:
            # The unspoken rest was shown as captions.
            heard = synthesis.text.strip()
        # Without marks, the heard words are a guess, unless none were heard.
        estimated = not self.playout.reports_playback or (interrupted and heard_ms > 0 and not synthesis.marks)
        return ReplyFinished(self.turn_id, heard, heard_ms, interrupted, estimated=estimated)

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
        try:
            async with IdleTimeout(_LLM_TIMEOUT_S) as timeout, aclosing(self._generate()) as deltas:
                async for delta in deltas:
                    timeout.reset()
                    self._add_text(delta)
        except TimeoutError:
            self._append_apology(PeerFailed("llm.silent", f"the model generated nothing for {_LLM_TIMEOUT_S:.0f} s"))
        except AnchorError as error:
            self._append_apology(error)
        self._synthesis.end_text()

    def _append_apology(self, error: AnchorError) -> None:
        """End the text generated so far with the persona's apology."""
        log.warning("generation failed", extra={"code": error.code, "reason": error.message})
        self.waterfall.trace.record_failure(error.code, "think")
        self._send_or_hold(TurnFailed(self.turn_id, error.code, error.message))
        text = self._synthesis.text
        gap = " " if text and not text.endswith((" ", "\n")) else ""
        self._add_text(gap + self._apology)

    def _add_text(self, delta: str) -> None:
        if not delta:
            return
        self.waterfall.record_stage("first_token", self._now_s())
        piece = ReplyPiece.of(delta)
        if piece.sources:
            self._send_or_hold(ReplySources(self.turn_id, piece.sources[:_MAX_SOURCES]))
        self._synthesis.add_text(delta, piece.language)
        self._send_or_hold(ReplyText(self.turn_id, str(delta)))

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
        if self.playout.reports_playback:
            self.waterfall.record_stage("first_sample_heard", at_s)
        self._listener.on_first_sample_heard(self.turn_id, at_s)

    def on_report_overdue(self) -> None:
        """The client declared playback reports and sends none: the playback position becomes an estimate."""
        self._listener.on_report_overdue()
        self.playout.estimate_playback()
