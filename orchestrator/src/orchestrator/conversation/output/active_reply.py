"""The active reply of a session: starts, releases, pauses, stops and finishes it; its heard words enter history."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter as Tally
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from service_kit.errors import AnchorError, EngineFailed, root_cause
from service_kit.observability.context import TURN_ID, TURN_REVISION
from service_kit.tasks import TaskGroup

from orchestrator.conversation.connection.outbox import Outbox
from orchestrator.conversation.echo.echo_detector import EchoDetector
from orchestrator.conversation.echo.transcript_echo import ECHO_TAIL_MS, PlaybackContext
from orchestrator.conversation.messages.client import PlaybackProgress, ReplyReceived
from orchestrator.conversation.messages.server import BargeInSettled, Error, PlaybackPause, PlaybackResume, PlaybackStop
from orchestrator.conversation.model.audio_clock import AudioClock
from orchestrator.conversation.model.conversation import Conversation
from orchestrator.conversation.model.event_queue import EventQueue
from orchestrator.conversation.model.events import (
    AnnounceBargeIn,
    FirstFrameSent,
    FirstSampleHeard,
    ReplyDone,
    ReplyFailed,
    SpeakPhrase,
    SpeakReplyAgain,
    StartReply,
)
from orchestrator.conversation.model.history import merge_consecutive
from orchestrator.conversation.model.ports import Persona, Prompt, ReplyPiece
from orchestrator.conversation.model.services import Services
from orchestrator.conversation.observability.waterfall import Waterfall
from orchestrator.conversation.output.prompt_prefill import PromptPrefill
from orchestrator.conversation.output.reply import ReasoningSpoken, Reply
from orchestrator.conversation.output.spoken_replies import SpokenReplies, SpokenReply
from orchestrator.conversation.output.spoken_turn import Speaker, SpokenTurns
from orchestrator.conversation.output.synthesis import SpeechSettings
from orchestrator.metrics import BARGE_INS, OVER_BUDGET

log = logging.getLogger(__name__)

# How long a cancelled reply may take to close its streams before the session continues without waiting for it.
_CANCEL_TIMEOUT_S = 2.0
# How much more of a reply must be heard before its heard words are saved again: less than a word.
_SAVED_EVERY_MS = 200


class ActiveReply:
    """Owns the one reply that is generated or played. The session's task calls its methods; replies run in `run`."""

    def __init__(
        self,
        *,
        services: Services,
        conversation: Conversation,
        outbox: Outbox,
        event_queue: EventQueue,
        clock: AudioClock,
        echo_detector: EchoDetector,
        on_heard: Callable[[int, int], None],
        reports_playback: bool,
        latency_budget_ms: int,
    ) -> None:
        """`on_heard` gets a turn, and how much of its reply was heard in milliseconds, when that may have changed."""
        self._services = services
        self._conversation = conversation
        self._outbox = outbox
        self._event_queue = event_queue
        self._clock = clock
        self._echo_detector = echo_detector
        self._on_heard = on_heard
        self._declares_reports = reports_playback
        # False for a while, when a client that declared playback reports sends none.
        self._reports_playback = reports_playback
        self._latency_budget_ms = latency_budget_ms
        self._model = services.language_model()
        self._loop = asyncio.get_running_loop()
        self._group = TaskGroup()
        self._prefill = PromptPrefill(self._model, self._group)
        self._reply: Reply | None = None
        # The reply that queued its end last.
        self._over: Reply | None = None
        self._task: asyncio.Task[None] | None = None
        # The latest finished reply, and its end on the audio clock in milliseconds.
        self._last_reply: tuple[Reply, int] | None = None
        self._barge_ins: Tally[str] = Tally()
        # Who speaks the active reply.
        self._speaker = Speaker("", "", "", "")
        self._spoken_turns = SpokenTurns()
        self._spoken_replies = SpokenReplies()
        # The playback position up to which the heard words were saved; None before the first frame.
        self._saved_ms: int | None = None

    @property
    def waterfall(self) -> Waterfall | None:
        """The waterfall of the active reply's turn; None without a reply."""
        return self._reply.waterfall if self._reply else None

    async def run(self) -> None:
        """Keep the task group of the replies open until cancelled, which cancels them."""
        async with self._group:
            await asyncio.Event().wait()

    def prefill(self, turn_id: int, partial: str = "") -> None:
        """Prefill the language model with the history before this turn; nothing while a reply runs.

        `partial` is the transcript so far, for models that choose their notes by it.
        """
        if self._task is None:
            self._prefill.start(replace(self._prompt(turn_id, ""), partial=partial))

    async def start(self, action: StartReply, waterfall: Waterfall) -> None:
        """Start generating a reply; it is buffered until `release`."""
        await self._prefill.stop()
        prompt = self._prompt(action.turn_id, action.text, action.alternatives)
        model = self._model
        await self._start_reply(
            action.turn_id, action.revision, lambda: model.name, lambda: model.reply(prompt), waterfall
        )

    async def speak_phrase(self, action: SpeakPhrase, waterfall: Waterfall) -> None:
        """Speak one of the persona's phrases, released immediately."""
        phrase = self._persona.phrase(action.phrase, self._conversation.preferences.reply_language)

        async def generate_phrase() -> AsyncGenerator[str]:
            yield phrase

        await self._start_reply(action.turn_id, 1, lambda: "phrase", generate_phrase, waterfall)
        self.release(action.turn_id)

    def can_speak_again(self, turn_id: int, *, from_cut: bool) -> bool:
        """Whether the text of a turn's reply is known; with `from_cut`, whether any of it was not heard."""
        if self._reply is not None and self._reply.turn_id == turn_id:
            return bool(self._reply.text.strip())
        return bool(self._text_of(turn_id, from_cut=from_cut).text)

    async def speak_again(self, action: SpeakReplyAgain, waterfall: Waterfall) -> None:
        """Speak the text of an earlier reply, in its language, released immediately."""
        text = self._text_of(action.source_turn_id, from_cut=action.from_cut)

        async def repeat_text() -> AsyncGenerator[str]:
            yield ReplyPiece(text.text, text.language)

        await self._start_reply(action.turn_id, 1, lambda: "again", repeat_text, waterfall)
        self.release(action.turn_id)

    def _text_of(self, turn_id: int, *, from_cut: bool) -> SpokenReply:
        """The text of an earlier reply to speak; of one that is not among the last, what was heard and no more."""
        spoken = self._spoken_replies.find(turn_id)
        if spoken is None:
            messages = self._conversation.history.of_turn(turn_id)
            heard = " ".join(message.text for message in messages if message.role == "anchor")
            spoken = SpokenReply(heard, heard)
        return SpokenReply(spoken.from_cut() if from_cut else spoken.text.strip(), "", spoken.language)

    def release(self, turn_id: int) -> None:
        """Report who speaks the buffered reply, and release it to playout."""
        if self._reply and self._reply.turn_id == turn_id:
            self._outbox.send(self._spoken_turns.message(turn_id, self._speaker, self._reply.waterfall))
            self._reply.release()

    async def discard(self, turn_id: int) -> None:
        """Withdraw a reply: nothing enters history. If audio was sent, the client discards it."""
        reply = self._reply
        if reply is None or reply.turn_id != turn_id:
            return
        self._withdraw(reply)
        self._reply = None
        self._barge_ins.clear()
        await self._await_cancelled()

    async def stop(self, turn_id: int) -> None:
        """Barge-in: stop playback first, then record the heard words and cancel the reply."""
        reply = self._reply
        if reply is None or reply.turn_id != turn_id:
            return
        reply.playout.pause()
        self._outbox.drop_audio()
        self._outbox.send(PlaybackStop(turn_id))
        self._finish_reply(reply, interrupted=True)
        await self._await_cancelled()

    def pause(self, turn_id: int) -> None:
        """Pause playback."""
        if self._reply and self._reply.turn_id == turn_id and self._reply.playout.pause():
            self._outbox.send(PlaybackPause(turn_id))

    def resume(self, turn_id: int) -> None:
        """Resume playback."""
        if self._reply and self._reply.turn_id == turn_id and self._reply.playout.resume():
            self._outbox.send(PlaybackResume(turn_id))

    def on_disconnect(self) -> None:
        """The client disconnected; pause playout."""
        if self._reply:
            self._reply.playout.on_disconnect()

    def on_reconnect(self, received: ReplyReceived | None) -> None:
        """The client reconnected; `received` is the part of the reply that it has already."""
        self._reports_playback = self._declares_reports
        if self._reply:
            self._reply.playout.on_reconnect(received)

    def on_playback_progress(self, progress: PlaybackProgress) -> None:
        """Record a playback report; reports for other replies, and of clients without reports, are ignored.

        A client whose reports were overdue counts as reporting again from its next reply on.
        """
        self._reports_playback = self._declares_reports
        reply = self._reply
        if reply and reply.turn_id == progress.turn_id and reply.playout.reports_playback:
            reply.playout.on_playback_progress(progress.played_ms)

    def on_first_frame_sent(self, turn_id: int) -> None:
        """Queue the event: the first frame of a reply was sent."""
        self._event_queue.put_nowait(FirstFrameSent(turn_id, self._clock.now_ms))

    def on_first_sample_heard(self, turn_id: int, at_s: float) -> None:
        """Queue the event: the first sample of a reply was heard at `at_s`, on the loop's clock."""
        ago_ms = round((self._loop.time() - at_s) * 1000)
        self._event_queue.put_nowait(FirstSampleHeard(turn_id, self._clock.now_ms - ago_ms))

    def report_latency(self, turn_id: int) -> None:
        """Send the stages so far, at the first sound of the reply; nothing for one that was withdrawn meanwhile."""
        if (reply := self._reply) is None or reply.turn_id != turn_id:
            return
        waterfall = reply.waterfall.message(self._latency_budget_ms)
        if waterfall.first_sample_heard_ms is not None or not reply.playout.reports_playback:
            self._outbox.send(waterfall)

    def on_report_overdue(self) -> None:
        """Notify the client that its playback is estimated, since it sends no reports."""
        self._reports_playback = False
        message = "no playback_progress arrived for 3 s of playback: the position is estimated until the next report"
        log.warning("playback is not reported", extra={"code": "session.no_playback_reports"})
        self._outbox.send(Error("session.no_playback_reports", message, retryable=False))

    def on_heard_more(self, reply: Reply) -> None:
        """Save what was heard of the reply so far, from its first frame on, every `_SAVED_EVERY_MS` of it."""
        if reply is not self._reply or not reply.playout.sent_ms:
            return
        heard_ms = reply.playout.heard_ms
        self._on_heard(reply.turn_id, heard_ms)
        if self._saved_ms is None or heard_ms >= self._saved_ms + _SAVED_EVERY_MS:
            self._saved_ms = heard_ms
            heard = reply.finished_message(interrupted=True)
            # A position that is estimated is not reported either.
            upcoming = reply.upcoming_text() if reply.playout.reports_playback else ()
            self._conversation.save_heard_so_far(reply.turn_id, heard.heard_text, heard_ms, upcoming)

    def on_session_end(self, *, is_over: bool) -> None:
        """The session ends, perhaps in mid-reply: the heard words enter history; `is_over` as in `finish_reply`."""
        reply = self._reply
        if reply is not None:
            heard = reply.finished_message(interrupted=True)
            self._conversation.finish_reply(
                reply.turn_id, heard.heard_text, heard.heard_ms, interrupted=True, is_over=is_over
            )
        # A cancelled task refers to this object by the traceback of its error.
        self._task = None

    @property
    def is_over(self) -> bool:
        """Whether the reply was heard to its end, or failed.

        False for the events of one that was withdrawn meanwhile: the next reply may be to the same turn.
        """
        return self._reply is not None and self._reply is self._over

    def on_reply_over(self) -> None:
        """Finish a reply that was heard to its end, or failed."""
        if self._reply:
            self._finish_reply(self._reply, interrupted=False)
            self._task = None

    def playback_context(self, since_ms: int, until_ms: int) -> PlaybackContext:
        """The reply text that may echo in microphone audio from `since_ms` to `until_ms`, and the echo estimate of it.

        Both times are on the audio clock.
        """
        if self._reply and self._reply.playout.sent_ms:
            context = self._reply.playback_context(self._clock.now_ms - since_ms)
            return replace(context, echo_estimate=self._echo_detector.estimate_echo(since_ms, until_ms))
        if self._last_reply and since_ms - self._last_reply[1] <= ECHO_TAIL_MS:
            reply, ended_ms = self._last_reply
            echo_estimate = self._echo_detector.estimate_echo(since_ms, until_ms)
            return replace(reply.playback_context(ended_ms - since_ms), echo_estimate=echo_estimate)
        return PlaybackContext(language=self._conversation.preferences.reply_language)

    def on_barge_in_settled(self, action: AnnounceBargeIn) -> None:
        """Count and send the verdict on the user's speech over a reply."""
        verdict = action.verdict.name.removeprefix("BARGE_IN_VERDICT_").lower()
        BARGE_INS.labels(verdict).inc()
        if self._reply and self._reply.turn_id == action.reply_turn_id:
            self._barge_ins[verdict] += 1
        self._outbox.send(BargeInSettled(action.turn_id, action.reply_turn_id, action.verdict))

    @property
    def _persona(self) -> Persona:
        return self._services.personas[self._conversation.preferences.persona]

    def _prompt(self, turn_id: int, text: str, alternatives: tuple[str, ...] = ()) -> Prompt:
        preferences = self._conversation.preferences
        return Prompt(
            text=text,
            language=preferences.reply_language,
            persona=self._persona,
            history=merge_consecutive(self._conversation.history.before(turn_id)),
            alternatives=alternatives,
            style=preferences.style,
            history_share=self._services.degraded_mode().history_share,
        )

    async def _start_reply(
        self,
        turn_id: int,
        revision: int,
        engine_name: Callable[[], str],
        generate_text: Callable[[], AsyncGenerator[str]],
        waterfall: Waterfall,
    ) -> None:
        if self._reply:
            if self._reply.turn_id != turn_id:
                self._reply.waterfall.end("interrupted", self._loop.time())
            await self.discard(self._reply.turn_id)
        preferences = self._conversation.preferences
        language = preferences.reply_language
        chosen = preferences.voice if self._services.is_available(preferences.voice, language) else ""
        tts_chain, voice = self._services.tts_chain(chosen or self._services.voice_of(self._persona, language))
        self._speaker = Speaker(preferences.persona, self._persona.name, voice, language)
        speech_settings = SpeechSettings(
            voice=voice,
            language=language,
            style=preferences.style,
            apology=self._persona.phrase("apology", language),
            code_phrase=self._persona.phrase("code", language),
            filler=self._persona.phrase("one_moment", language),
            voices=self._persona.voices,
        )
        deltas = generate_text()
        create = partial(
            Reply,
            turn_id=turn_id,
            engine_name=engine_name,
            deltas=deltas,
            first_token_s=self._services.first_token_s,
            tts_chain=tts_chain,
            speech_settings=speech_settings,
            outbox=self._outbox,
            reports_playback=self._reports_playback,
            waterfall=waterfall,
            listener=self,
            playback_reference=self._echo_detector.playback_reference,
            reasoning_engines=self._services.reasoning_engines,
        )
        reply = self._reply = create()
        self._saved_ms = None
        self._task = self._group.create_task(
            self._run_reply(reply, create, deltas, revision), name=f"reply-{turn_id}.{revision}"
        )

    async def _run_reply(
        self, reply: Reply, create: Callable[..., Reply], deltas: AsyncGenerator[str], revision: int
    ) -> None:
        """Run a reply to its end. Its failure becomes a `ReplyFailed` event and does not end the session.

        A reply whose text turns out to be reasoning is discarded, and `create` starts one from the text behind it.
        """
        TURN_ID.set(str(reply.turn_id))
        TURN_REVISION.set(str(revision))
        try:
            async with aclosing(deltas):
                while True:
                    try:
                        await reply.run()
                        break
                    except ReasoningSpoken as spoken:
                        following = create(normaliser=spoken.normaliser, text=spoken.text)
                        self._replace(reply, following)
                        reply = following
        except Exception as failure:
            error = root_cause(failure)
            if not isinstance(error, AnchorError):
                log.exception("reply raised an unexpected error")
                error = EngineFailed("session.reply_broke", "the reply failed unexpectedly")
            reply.waterfall.trace.record_failure(error.code)
            self._over = reply
            self._event_queue.put_nowait(ReplyFailed(reply.turn_id, error))
        else:
            self._over = reply
            self._event_queue.put_nowait(ReplyDone(reply.turn_id))

    def _replace(self, reply: Reply, following: Reply) -> None:
        """Go on with `following` in the place of a reply that was reasoning."""
        log.warning("the model's reasoning was taken for its answer", extra={"engine": reply.engine_name})
        self._services.reasoning_engines.add(reply.engine_name)
        self._withdraw(reply)
        self._reply = following
        if reply.is_released:
            following.release()

    def _withdraw(self, reply: Reply) -> None:
        """Take back a reply of which nothing enters history; the client discards its audio."""
        reply.playout.pause()
        self._outbox.drop_audio()
        if reply.playout.sent_ms:
            self._outbox.send(PlaybackStop(reply.turn_id))
            self._echo_detector.playback_reference.pause(self._loop.time())
        reply.waterfall.clear_reply_stages()
        reply.record_metrics()
        if self._saved_ms is not None:
            self._conversation.open_turn(reply.turn_id)
            self._saved_ms = None

    def _finish_reply(self, reply: Reply, interrupted: bool) -> None:
        """Report the end of the reply; its heard words enter history."""
        self._reply = None
        self._last_reply = (reply, self._clock.now_ms)
        self._echo_detector.playback_reference.pause(self._loop.time())
        barge_ins, self._barge_ins = self._barge_ins, Tally()
        finished = reply.finished_message(interrupted)
        self._conversation.finish_reply(
            reply.turn_id, finished.heard_text, finished.heard_ms, interrupted=finished.interrupted
        )
        waterfall = reply.waterfall.message(self._latency_budget_ms)
        reply.waterfall.observe_metrics()
        reply.waterfall.end("interrupted" if interrupted else "finished", self._loop.time())
        playout_metrics = reply.record_metrics()
        self._outbox.send(finished)
        self._outbox.send(waterfall)
        ended_s = self._loop.time() if finished.heard_ms else None
        began_s = reply.first_heard_s if finished.heard_ms else None
        self._outbox.send(
            self._spoken_turns.message(reply.turn_id, self._speaker, reply.waterfall, began_s=began_s, ended_s=ended_s)
        )
        spoken = SpokenReply(reply.text, finished.heard_text, self._speaker.language)
        self._spoken_replies.add(reply.turn_id, spoken)
        if slow := (waterfall.first_frame_sent_ms or 0) > self._latency_budget_ms:
            OVER_BUDGET.inc()
        log.log(
            logging.WARNING if slow else logging.INFO,
            "turn finished",
            extra={
                "turn_id": reply.turn_id,
                "response_latency_ms": waterfall.first_frame_sent_ms,
                "latency_budget_ms": self._latency_budget_ms,
                "heard_ms": finished.heard_ms,
                "interrupted": interrupted,
                "heard_characters": len(finished.heard_text),
                "stages_ms": reply.waterfall.stages_ms(),
                **reply.waterfall.trace.log_fields,
                "barge_ins": dict(barge_ins),
                **playout_metrics,
            },
        )

    async def _await_cancelled(self) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=_CANCEL_TIMEOUT_S)
        if not done:
            log.warning("reply did not end when cancelled", extra={"waited_s": _CANCEL_TIMEOUT_S})
