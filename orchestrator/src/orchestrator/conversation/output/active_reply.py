"""Speaking: the one reply that is being made or heard, and everything done to it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter as Tally
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

from service_kit.errors import AnchorError, EngineFailed, root_cause
from service_kit.observability.context import TURN_ID, TURN_REVISION

from orchestrator.conversation.connection.outbox import Outbox
from orchestrator.conversation.echo.echo_detector import EchoDetector
from orchestrator.conversation.echo.transcript_echo import TAIL_MS, PlaybackContext
from orchestrator.conversation.messages.client import PlaybackProgress, ReplyReceived
from orchestrator.conversation.messages.server import BargeInSettled, PlaybackPause, PlaybackResume, PlaybackStop
from orchestrator.conversation.model.audio_clock import AudioClock
from orchestrator.conversation.model.conversation import Conversation
from orchestrator.conversation.model.event_queue import EventQueue
from orchestrator.conversation.model.events import (
    AnnounceBargeIn,
    ReplyAudible,
    ReplyDone,
    ReplyFailed,
    SpeakPhrase,
    StartReply,
)
from orchestrator.conversation.model.history import merge_consecutive
from orchestrator.conversation.model.ports import Persona, Prompt
from orchestrator.conversation.model.services import Services
from orchestrator.conversation.observability.waterfall import Waterfall
from orchestrator.conversation.output.prompt_prefill import PromptPrefill
from orchestrator.conversation.output.reply import Reply
from orchestrator.conversation.output.synthesis import Delivery
from orchestrator.metrics import BARGE_INS, OVER_BUDGET

log = logging.getLogger(__name__)

# How long a cancelled reply may take to let go of its streams before the session goes on without it.
_LET_GO_S = 2.0


class ActiveReply:
    """Owner of the reply. Its methods are called by the session's one task; replies run in its own group."""

    def __init__(
        self,
        *,
        services: Services,
        conversation: Conversation,
        outbox: Outbox,
        event_queue: EventQueue,
        clock: AudioClock,
        echo_detector: EchoDetector,
        reports_playback: bool,
        latency_budget_ms: int,
    ) -> None:
        self._services = services
        self._conversation = conversation
        self._outbox = outbox
        self._event_queue = event_queue
        self._clock = clock
        self._echo_detector = echo_detector
        self._reports_playback = reports_playback
        self._latency_budget_ms = latency_budget_ms
        self._model = services.language_model()
        self._loop = asyncio.get_running_loop()
        self._group = asyncio.TaskGroup()
        self._prefill = PromptPrefill(self._model, self._group)
        self._reply: Reply | None = None
        self._task: asyncio.Task[None] | None = None
        # The reply that ended last, and when on the audio clock.
        self._ended: tuple[Reply, int] | None = None
        self._barge_ins: Tally[str] = Tally()

    @property
    def waterfall(self) -> Waterfall | None:
        """Of the turn that is being answered."""
        return self._reply.waterfall if self._reply else None

    async def run(self) -> None:
        """Keep the replies' scope open until cancelled; leaving it ends them."""
        async with self._group:
            await asyncio.Event().wait()

    def prefill(self, turn_id: int) -> None:
        """Let the model read the past ahead, while the user says what is to be answered."""
        if self._task is None:
            self._prefill.start(self._prompt(turn_id, ""))

    async def start(self, action: StartReply, waterfall: Waterfall) -> None:
        """Begin to answer into a held buffer."""
        await self._prefill.stop()
        prompt = self._prompt(action.turn_id, action.text, action.alternatives)
        model = self._model
        await self._begin(action.turn_id, action.revision, lambda: model.name, lambda: model.reply(prompt), waterfall)

    async def speak_phrase(self, action: SpeakPhrase, waterfall: Waterfall) -> None:
        """Speak one of the persona's phrases at once."""
        phrase = self._persona.phrase(action.phrase, self._conversation.preferences.language)

        async def words() -> AsyncGenerator[str]:
            yield phrase

        await self._begin(action.turn_id, 1, lambda: "phrase", words, waterfall)
        self.release(action.turn_id)

    def release(self, turn_id: int) -> None:
        """Let the held reply be heard."""
        if self._reply and self._reply.turn_id == turn_id:
            self._reply.release()

    async def discard(self, turn_id: int) -> None:
        """End a reply of which nothing was heard, without a trace."""
        if self._reply and self._reply.turn_id == turn_id:
            self._reply.waterfall.drop_reply()
            self._reply.account()
            self._reply = None
            self._outbox.drop_audio()
            await self._let_go()

    async def stop(self, turn_id: int) -> None:
        """Barge-in: silence first, then the rest."""
        reply = self._reply
        if reply is None or reply.turn_id != turn_id:
            return
        reply.playout.pause()
        self._outbox.drop_audio()
        self._outbox.send(PlaybackStop(turn_id))
        self._close(reply, interrupted=True)
        await self._let_go()

    def pause(self, turn_id: int) -> None:
        """Hold the reply where it is."""
        if self._reply and self._reply.turn_id == turn_id and self._reply.playout.pause():
            self._outbox.send(PlaybackPause(turn_id))

    def resume(self, turn_id: int) -> None:
        """Go on with a held reply."""
        if self._reply and self._reply.turn_id == turn_id and self._reply.playout.resume():
            self._outbox.send(PlaybackResume(turn_id))

    def on_disconnect(self) -> None:
        """Nobody hears it for now."""
        if self._reply:
            self._reply.playout.on_disconnect()

    def on_reconnect(self, received: ReplyReceived | None) -> None:
        """Somebody hears it again, and has what they say of it already."""
        if self._reply:
            self._reply.playout.on_reconnect(received)

    def on_playback_progress(self, progress: PlaybackProgress) -> None:
        """The client says how much it has played."""
        reply = self._reply
        if reply and reply.turn_id == progress.turn_id and self._reports_playback:
            if progress.played_ms:
                # Reports come late by what they report; a file is "played" faster than sound.
                reply.waterfall.sample_heard(self._loop.time() - progress.played_ms / 1000)
            reply.playout.on_playback_progress(progress.played_ms)

    def on_reply_done(self, turn_id: int) -> None:
        """The reply has been heard to its end, or has failed."""
        if self._reply and self._reply.turn_id == turn_id:
            self._close(self._reply, interrupted=False)
            self._task = None

    def playback_context(self, since_ms: int, until_ms: int) -> PlaybackContext:
        """What may echo, and does, in what is heard from `since_ms` to `until_ms` on the audio clock."""
        if self._reply and self._reply.playout.sent_ms:
            said = self._reply.playback_context(self._clock.now_ms - since_ms)
            return replace(said, echo_estimate=self._echo_detector.estimate_echo(since_ms, until_ms))
        if self._ended and since_ms - self._ended[1] <= TAIL_MS:
            reply, ended_ms = self._ended
            echo_estimate = self._echo_detector.estimate_echo(since_ms, until_ms)
            return replace(reply.playback_context(ended_ms - since_ms), echo_estimate=echo_estimate)
        return PlaybackContext(language=self._conversation.preferences.language)

    def on_barge_in_settled(self, action: AnnounceBargeIn) -> None:
        """It is known what the user's sound over a reply was."""
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
            language=preferences.language,
            persona=self._persona,
            history=merge_consecutive(self._conversation.history.before(turn_id)),
            alternatives=alternatives,
            style=preferences.style,
            history_share=self._services.degraded_mode().history_share,
        )

    async def _begin(
        self,
        turn_id: int,
        revision: int,
        engine: Callable[[], str],
        words: Callable[[], AsyncGenerator[str]],
        waterfall: Waterfall,
    ) -> None:
        if self._reply:
            if self._reply.turn_id != turn_id:
                self._reply.waterfall.end("interrupted", self._loop.time())
            await self.discard(self._reply.turn_id)
        preferences = self._conversation.preferences
        voices, voice = self._services.tts_chain(
            preferences.voice or self._persona.voices.get(preferences.language, "")
        )
        delivery = Delivery(
            voice=voice,
            language=preferences.language,
            style=preferences.style,
            apology=self._persona.phrase("apology", preferences.language),
        )
        reply = Reply(
            turn_id=turn_id,
            engine=engine,
            words=words,
            voices=voices,
            delivery=delivery,
            outbox=self._outbox,
            reports_playback=self._reports_playback,
            waterfall=waterfall,
            on_audible=lambda: self._event_queue.put_nowait(ReplyAudible(turn_id, self._clock.now_ms)),
            sounded=self._echo_detector.sounded,
        )
        self._reply = reply
        self._task = self._group.create_task(self._run(reply, revision), name=f"reply-{turn_id}.{revision}")

    async def _run(self, reply: Reply, revision: int) -> None:
        """Run a reply so that its failure is an event, not the end of the session."""
        TURN_ID.set(str(reply.turn_id))
        TURN_REVISION.set(str(revision))
        try:
            await reply.run()
        except Exception as failure:
            error = root_cause(failure)
            if not isinstance(error, AnchorError):
                log.exception("reply broke")
                error = EngineFailed("session.reply_broke", "the reply broke off")
            reply.waterfall.trace.fail(error.code)
            self._event_queue.put_nowait(ReplyFailed(reply.turn_id, error))
        else:
            self._event_queue.put_nowait(ReplyDone(reply.turn_id))

    def _close(self, reply: Reply, interrupted: bool) -> None:
        self._reply = None
        self._ended = (reply, self._clock.now_ms)
        self._echo_detector.sounded.hold(self._loop.time())
        barge_ins, self._barge_ins = self._barge_ins, Tally()
        finished = reply.finished(interrupted)
        self._conversation.history.add_anchor(reply.turn_id, finished.heard_text, interrupted)
        waterfall = reply.waterfall.message(self._latency_budget_ms)
        reply.waterfall.observe()
        reply.waterfall.end("interrupted" if interrupted else "finished", self._loop.time())
        account = reply.account()
        self._outbox.send(finished)
        self._outbox.send(waterfall)
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
                **account,
            },
        )

    async def _let_go(self) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=_LET_GO_S)
        if not done:
            log.warning("cancelled reply did not let go", extra={"waited_s": _LET_GO_S})
