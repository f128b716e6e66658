"""A session: one client, one conversation, one task that changes state.

Client messages, speech events, timers and replies all arrive through one event queue. `_converse` handles them one at a
time: it asks the pure `TurnTaking` what to do and does it, so nothing here needs a lock.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from typing import assert_never

from service_kit.errors import AnchorError, InvalidRequest, Stopping
from service_kit.observability.context import SESSION_ID
from service_kit.tasks import run_together

from orchestrator.conversation.connection.caption_feed import CaptionFeed
from orchestrator.conversation.connection.outbox import Outbox
from orchestrator.conversation.echo.echo_detector import EchoDetector, echo_span
from orchestrator.conversation.echo.transcript_echo import NO_PLAYBACK, PlaybackContext
from orchestrator.conversation.input.microphone import Microphone
from orchestrator.conversation.input.speech_input import SpeechInput
from orchestrator.conversation.messages import server as messages
from orchestrator.conversation.messages.client import (
    Command,
    EndTurn,
    Ping,
    PlaybackProgress,
    RequestStatus,
    SessionStart,
    SetBargeIn,
    SetLanguage,
    SetPatience,
    SetPersona,
    SetSpeechActivity,
    SetStyle,
    SetVoice,
    SpeakAgain,
    TextInput,
    TurnDetection,
)
from orchestrator.conversation.messages.server import (
    Error,
    Pong,
    ServiceNotice,
    SessionEnded,
    TurnCommitted,
    TurnFailed,
    TurnSaved,
)
from orchestrator.conversation.model import events as do
from orchestrator.conversation.model.audio_clock import AudioClock
from orchestrator.conversation.model.conversation import AUTOMATIC, Conversation, Preference
from orchestrator.conversation.model.event_queue import EventQueue
from orchestrator.conversation.model.events import (
    Action,
    ActivityReported,
    Connected,
    Disconnected,
    FirstSampleHeard,
    PlaceChanged,
    PolicyEvent,
    ProcessStopping,
    ReplyDone,
    ReplyFailed,
    ServiceLost,
    ServiceRecovered,
    SessionEvent,
    TimerFired,
    TurnCutOff,
    TurnStored,
)
from orchestrator.conversation.model.ports import (
    CallPlaces,
    FinalTranscript,
    PlaceStatus,
    Refused,
    SpeechStarted,
    SpeechStopped,
    Waiting,
)
from orchestrator.conversation.model.services import Services, primary_language
from orchestrator.conversation.model.spoken_language import SpokenLanguage
from orchestrator.conversation.observability.turn_trace import begin_turn, traced_session
from orchestrator.conversation.observability.waterfall import Waterfall
from orchestrator.conversation.output.active_reply import ActiveReply
from orchestrator.conversation.session.call_place import UnlimitedPlaces, admission_message, at_capacity
from orchestrator.conversation.session.notifications import session_updated, transcript_message
from orchestrator.conversation.session.presence import Presence, SessionClosed
from orchestrator.conversation.turns.anchor_state import AnchorPhase
from orchestrator.conversation.turns.turn import TurnRules
from orchestrator.conversation.turns.turn_taking import TurnTaking, UserState

log = logging.getLogger(__name__)

# The code and message of a session that ends with its process.
MOVING = ("session.moving", "the anchor restarts or moves; reconnect with the ticket")
# The verdicts after which the sound over a reply is a turn of its own.


class Session:
    """One session. `run` is its lifetime; the client may reconnect several times meanwhile."""

    def __init__(
        self,
        *,
        services: Services,
        rules: TurnRules,
        conversation: Conversation,
        start: SessionStart,
        places: CallPlaces | None = None,
        resume_s: float = 0,
        retention_days: int | None = None,
    ) -> None:
        """`places` are those of all sessions; None for a place for everybody.

        `resume_s` is how long the session waits for a client that disconnected. `retention_days` is how long the
        conversation is stored; None when it is not.
        """
        self.session_id = uuid.uuid4().hex[:12]
        self._services = services
        self._conversation = conversation
        self._loop = asyncio.get_running_loop()
        self._clock = AudioClock(self._loop.time)
        self._event_queue = EventQueue()
        # What those who watch the conversation see of it.
        self.caption_feed = CaptionFeed()
        self._outbox = Outbox(_both(conversation.journal.on_message, self.caption_feed.record))
        self._start = start
        self.presence = Presence(
            self.session_id,
            conversation=conversation,
            services=services,
            event_queue=self._event_queue,
            outbox=self._outbox,
            resume_s=resume_s,
            retention_days=retention_days,
        )
        self._turn_taking = TurnTaking(rules, conversation.history.last_turn_id(), conversation.preferences.patience)
        self._turn_taking.set_barge_in(conversation.preferences.barge_in)
        self._place = (places or UnlimitedPlaces()).open(self._on_place_changed)
        self._word_times = start.word_times
        self._spoken_language = SpokenLanguage(
            conversation.preferences, lambda language: services.can_answer(conversation.preferences.persona, language)
        )
        self._waterfall = Waterfall(0)
        # The process stops: the session ends after the turn in progress.
        self._is_moving = False
        # Time of the event that is being handled, on the loop's clock.
        self._event_s = 0.0
        # Arrival of the latest final transcript.
        self._final_s = 0.0
        self._speech_input = SpeechInput(
            voice_activity=services.voice_activity,
            speech_to_text=services.speech_to_text,
            microphone=Microphone(self._clock, services.audio_filter()),
            language=conversation.preferences.recognised_language,
            manual=_is_manual(start),
            event_queue=self._event_queue,
        )
        self._active_reply = ActiveReply(
            services=services,
            conversation=conversation,
            outbox=self._outbox,
            event_queue=self._event_queue,
            clock=self._clock,
            echo_detector=EchoDetector(self._clock, self._speech_input.recent_audio, rules.barge_in.echo_defence),
            on_heard=self.caption_feed.on_heard,
            reports_playback=start.reports_playback,
            latency_budget_ms=rules.latency_budget_ms,
        )

    async def run(self) -> None:
        """Run until the session ends. Raises the error that ended it, if any, after the client was notified."""
        SESSION_ID.set(self.session_id)
        with traced_session():
            await self._run()

    async def handle_input(self, item: bytes | Command) -> None:
        """Accept input from the client: microphone audio (PCM16 mono 16 kHz), or a command."""
        if isinstance(item, bytes):
            self._speech_input.push_audio(item)
        elif isinstance(item, EndTurn):
            await self._speech_input.end_turn()
        else:
            await self._event_queue.put(item)

    def end_after_turn(self) -> None:
        """End the session with `session.moving` once no turn is in progress, or its client is gone."""
        self._event_queue.put_nowait(ProcessStopping())

    def end_now(self) -> None:
        """End the session with `session.moving`, in mid-turn too; the next process continues the turn."""
        self.presence.end(Stopping(*MOVING))

    def matches(self, start: SessionStart) -> bool:
        """Whether a client with this `start` can resume: turn detection and playback reports must match."""
        mine = self._start
        return (_is_manual(start), start.reports_playback) == (_is_manual(mine), mine.reports_playback)

    @property
    def _has_content(self) -> bool:
        """Whether the user or the anchor has spoken; otherwise a new session replaces this one without loss."""
        listening = self._turn_taking.listening_since_ms is not None
        return listening or self._active_reply.waterfall is not None or bool(self._conversation.messages)

    async def _run(self) -> None:
        log.info("session started", extra={"language": self._conversation.preferences.language})
        self._conversation.journal.open_session(self.session_id, self._on_turn_saved)
        ending: SessionEnded | None = None
        # The next process continues the turn of a session that ends with its own.
        is_over = False
        try:
            await run_together(
                self._active_reply.run(),
                self._speech_input.run(),
                self._converse(),
                self.presence.closed(),
            )
        except SessionClosed:
            ending = SessionEnded("session.closed_by_client", "the client ended the session")
            is_over = True
        except AnchorError as error:
            ending = SessionEnded(error.code, error.message)
            is_over = not isinstance(error, Stopping)
            raise
        finally:
            self._place.leave()
            self._active_reply.on_session_end(is_over=is_over)
            self._close_waterfalls()
            code = ending.code if ending else "session.broken_off"
            log.info("session ended", extra={"code": code})
            self._conversation.journal.close_session(code, is_over=is_over)
            self.presence.close(ending)
            self.caption_feed.close()

    async def _converse(self) -> None:
        while True:
            event = await self._event_queue.get()
            self._event_s = self._clock.loop_s(event.at_ms) if isinstance(event, SpeechStarted) else self._loop.time()
            if isinstance(event, SessionEvent):
                await self._handle_session_event(event)
            else:
                await self._handle_policy_event(event)
            self._place.set_in_turn(self._is_in_turn)
            if self._is_moving and self._may_move:
                self.end_now()

    @property
    def _may_move(self) -> bool:
        """Whether no turn is in progress, or its client is gone: this process refuses it when it comes back."""
        return self.presence.connection is None or (not self._is_in_turn and self._event_queue.is_empty)

    @property
    def _is_in_turn(self) -> bool:
        """Whether the user or the anchor has the turn."""
        policy = self._turn_taking
        return policy.listening_since_ms is not None or policy.anchor_phase is not AnchorPhase.IDLE

    def _playback_context(self, event: PolicyEvent) -> PlaybackContext:
        """What the anchor was saying when the event's speech was heard, and how much of it the microphone holds."""
        policy = self._turn_taking
        anchor_speaks = policy.anchor_phase is AnchorPhase.SPEAKING
        span = echo_span(event, policy.listening_since_ms, self._clock.now_ms, anchor_speaks=anchor_speaks)
        return NO_PLAYBACK if span is None else self._active_reply.playback_context(*span)

    # Events ---------------------------------------------------------------------------------------------------------

    async def _handle_policy_event(self, event: PolicyEvent) -> None:
        """Report what the event means to the client and the waterfall, then perform the policy's actions."""
        if isinstance(event, ReplyDone | ReplyFailed) and not self._active_reply.is_over:
            # Of a reply that was withdrawn after it had queued the event.
            return
        if (refusal := self._refusal_of(event)) is not None:
            self._outbox.send(Error(refusal.code, refusal.message, refusal.retryable))
            return
        self._report_policy_event(event)
        if isinstance(event, SpeechStarted | TextInput | SpeakAgain | TurnCutOff) and not await self._is_admitted(
            event
        ):
            return
        self._turn_taking.speculates = not self._services.sheds_speculation()
        for action in self._turn_taking.handle(event, self._playback_context(event)):
            await self._perform_action(action)
        match event:
            case EndTurn():
                self._speech_input.confirm_turn_end()
            case ReplyDone() | ReplyFailed():
                self._active_reply.on_reply_over()
            case _:
                pass

    def _refusal_of(self, event: PolicyEvent) -> InvalidRequest | None:
        """Why a command cannot be carried out; None when it can."""
        match event:
            case TextInput(replaces_turn_id=int(replaced)) if not self._turn_taking.has_begun_turn(replaced):
                return InvalidRequest("session.unknown_turn", f"no turn of this conversation has the id {replaced}")
            case SpeakAgain() if not self._active_reply.can_speak_again(event.turn_id, from_cut=event.from_cut):
                reason = f"no more of the reply to turn {event.turn_id} is known"
                return InvalidRequest("session.nothing_to_speak", reason)
            case _:
                return None

    async def _is_admitted(self, event: SpeechStarted | TextInput | SpeakAgain | TurnCutOff) -> bool:
        """Whether the session has a place for the turn that `event` begins or continues; tells the client otherwise.

        Raises `AtCapacity` for a client that does not wait, or cannot because the queue is full.
        """
        status = self._place.request(waits=self._start.waits, resumes=isinstance(event, TurnCutOff))
        match status:
            case Refused():
                error = at_capacity(status)
                self._outbox.send(Error(error.code, error.message, error.retryable, error.retry_after_s))
                raise error
            case Waiting():
                self._outbox.send(admission_message(status))
                if _is_manual(self._start):
                    self._speech_input.stop_listening()
                    for action in self._turn_taking.skip_speech():
                        await self._perform_action(action)
                return False
            case _:
                return True

    def _on_place_changed(self, status: PlaceStatus) -> None:
        self._event_queue.put_nowait(PlaceChanged(status))

    def _report_policy_event(self, event: PolicyEvent) -> None:
        match event:
            case SpeechStarted():
                self._outbox.send(messages.SpeechStarted(event.at_ms))
            case FinalTranscript():
                self._final_s = self._event_s
            case SpeechStopped():
                self._waterfall.record_speech_end(event.at_ms, self._clock.loop_s(event.at_ms))
                self._waterfall.record_stage("speech_stopped", self._event_s, again=True)
                self._outbox.send(messages.SpeechStopped(event.at_ms))
            case EndTurn():
                self._waterfall.record_speech_end(self._clock.now_ms, self._event_s)
            case FirstSampleHeard():
                self._active_reply.report_latency(event.turn_id)
            case ReplyFailed():
                self._outbox.send(TurnFailed(event.turn_id, event.error.code, event.error.message))
            case _:
                pass

    async def _handle_session_event(self, event: SessionEvent) -> None:
        match event:
            case Connected():
                if connection := self.presence.on_connected(event.number):
                    self._speech_input.on_reconnect()
                    self._active_reply.on_reconnect(connection.received)
                    self._continue_cut_off_turn()
            case Disconnected():
                self._place.leave_queue()
                if self.presence.on_disconnected(begun=self._has_content):
                    self._speech_input.on_disconnect()
                    self._active_reply.on_disconnect()
            case ServiceLost():
                log.warning("service lost", extra={"peer": event.service, "code": event.error.code})
                if isinstance(event.error, InvalidRequest):
                    self._outbox.send(Error(event.error.code, event.error.message, event.error.retryable))
                else:
                    self._outbox.send(ServiceNotice(event.error.code, active=True, message=event.error.message))
            case ServiceRecovered():
                log.info("service recovered", extra={"peer": event.service})
                if not isinstance(event.error, InvalidRequest):
                    message = f"{event.service} works again"
                    self._outbox.send(ServiceNotice(event.error.code, active=False, message=message))
            case PlaybackProgress():
                self._active_reply.on_playback_progress(event)
            case SetLanguage() | SetVoice() | SetPersona() | SetStyle() | SetPatience() | SetBargeIn():
                self._set_preference(event)
            case RequestStatus():
                self._outbox.send(await self._services.system_status())
            case Ping():
                self._outbox.send(Pong(event.ping_id))
            case SetSpeechActivity():
                self._speech_input.report_activity(enabled=event.enabled)
            case ActivityReported():
                self._outbox.send(messages.SpeechActivity(event.at_ms, event.probability))
            case TurnStored():
                self._outbox.send(TurnSaved(event.turn_id, event.heard_ms))
            case PlaceChanged():
                if not isinstance(event.status, Refused):
                    self._outbox.send(admission_message(event.status))
            case ProcessStopping():
                self._is_moving = True
            case _:
                assert_never(event)

    def _on_turn_saved(self, turn_id: int, heard_ms: int | None) -> None:
        self._event_queue.put_nowait(TurnStored(turn_id, heard_ms))

    def _set_preference(self, event: Preference) -> None:
        if isinstance(event, SetLanguage):
            event = SetLanguage(primary_language(event.language))
        try:
            self._services.check_preference(event)
        except InvalidRequest as error:
            self._outbox.send(Error(error.code, error.message, error.retryable))
            return
        self._conversation.preferences.set(event)
        self._conversation.save_preferences()
        if isinstance(event, SetLanguage):
            preferences = self._conversation.preferences
            self._speech_input.set_language(preferences.recognised_language)
            if event.language != AUTOMATIC and not self._services.speaks(preferences.voice, event.language):
                preferences.set(SetVoice(""))
        if isinstance(event, SetPatience):
            self._turn_taking.endpointing.patience = event.patience
        if isinstance(event, SetBargeIn):
            self._turn_taking.set_barge_in(self._conversation.preferences.barge_in)
        self._outbox.send(session_updated(self._conversation))

    def _continue_cut_off_turn(self) -> None:
        """After a restart in mid-turn: tell the client, and answer or ask again if nothing of the reply was heard."""
        cut_off, self._conversation.cut_off = self._conversation.cut_off, None
        if cut_off is None:
            return
        self._outbox.send(Error("session.cut_off", "the server restarted in mid-turn", retryable=False))
        if _is_manual(self._start) or any(message.role == "anchor" for message in cut_off.messages):
            self._conversation.close_turn(cut_off)
            return
        self._conversation.remove_turn(cut_off.turn_id)
        self._event_queue.put_nowait(TurnCutOff(" ".join(message.text for message in cut_off.messages)))

    # Actions --------------------------------------------------------------------------------------------------------

    def _open_turn(self, turn_id: int) -> None:
        if self._waterfall is not self._active_reply.waterfall:
            self._waterfall.end("unanswered", self._loop.time())
        self._waterfall = Waterfall(turn_id, begin_turn(turn_id, self._event_s), self._event_s)

    def _reopen_turn(self, turn_id: int) -> None:
        self._conversation.remove_turn(turn_id)
        answered = self._active_reply.waterfall
        if answered and answered is not self._waterfall:
            # The speech that continues the turn had opened a turn of its own.
            self._waterfall.end("unanswered", self._loop.time())
            answered.continue_speech(self._waterfall)
            self._waterfall = answered

    def _close_waterfalls(self) -> None:
        if answered := self._active_reply.waterfall:
            answered.end("session_ended", self._loop.time())
        speaking = self._turn_taking.user_state is UserState.SPEAKING
        self._waterfall.end("session_ended" if speaking else "unanswered", self._loop.time())

    async def _perform_action(self, action: Action) -> None:
        match action:
            case do.OpenTurn():
                self._open_turn(action.turn_id)
            case do.PrefillPrompt():
                if not self._services.sheds_speculation():
                    self._active_reply.prefill(action.turn_id)
            case do.StartListening():
                self._speech_input.start_listening(action.from_ms)
            case do.FlushSegment():
                self._speech_input.flush_segment(action.segment_id)
            case do.CommitSegment():
                self._speech_input.commit_segment(action.segment_id)
            case do.StartReply():
                self._waterfall.record_stage("final_transcript", self._final_s, again=True)
                await self._active_reply.start(action, self._waterfall)
            case do.SpeakPhrase():
                await self._active_reply.speak_phrase(action, self._waterfall)
            case do.SpeakReplyAgain():
                # Its latency counts from the command.
                self._waterfall.record_stage("turn_committed", self._event_s)
                await self._active_reply.speak_again(action, self._waterfall)
            case do.ReplaceTurn():
                self._conversation.replace_turn(action.replaced_turn_id, action.turn_id)
            case do.DropReply():
                await self._active_reply.discard(action.turn_id)
            case do.CommitTurn():
                self._waterfall.record_stage("turn_committed", self._loop.time(), again=True)
                self._conversation.commit_user_turn(action.turn_id, action.text)
                self._outbox.send(TurnCommitted(action.turn_id, action.text, action.replaces))
                self._speech_input.expect_language(self._conversation.preferences.reply_language)
            case do.ReopenTurn():
                self._reopen_turn(action.turn_id)
            case do.ReleaseReply():
                self._active_reply.release(action.turn_id)
            case do.PausePlayback():
                self._active_reply.pause(action.turn_id)
            case do.ResumePlayback():
                self._active_reply.resume(action.turn_id)
            case do.StopReply():
                await self._active_reply.stop(action.turn_id)
            case do.SetTimer():
                delay_s = (action.at_ms - self._clock.now_ms) / 1000
                self._loop.call_later(max(0.0, delay_s), self._event_queue.put_nowait, TimerFired(action.at_ms))
            case do.AnnounceBargeIn():
                self._active_reply.on_barge_in_settled(action)
                if not do.is_stop(action.verdict):
                    # No turn follows from the sound.
                    self._conversation.remove_turn(action.turn_id)
            case do.AnnouncePartial():
                if not self._services.sheds_speculation():
                    self._active_reply.prefill(action.turn_id, action.text)
                self._conversation.open_turn(action.turn_id)
                self._outbox.send(transcript_message(action, word_times=self._word_times))
            case do.AnnounceFinal():
                self._spoken_language.on_transcript(
                    action.turn_id, action.text, action.language, action.language_probability
                )
                self._outbox.send(transcript_message(action, word_times=self._word_times))
            case do.AnnounceWait():
                self._outbox.send(transcript_message(action, word_times=self._word_times))
            case _:
                assert_never(action)


def _both(
    first: Callable[[messages.ServerMessage], None], second: Callable[[messages.ServerMessage], None]
) -> Callable[[messages.ServerMessage], None]:
    """Calls both; without the session itself, which its outbox would otherwise keep alive."""

    def call(message: messages.ServerMessage) -> None:
        first(message)
        second(message)

    return call


def _is_manual(start: SessionStart) -> bool:
    """Whether the client ends the user's turns; unspecified counts as automatic."""
    return start.turn_detection is TurnDetection.TURN_DETECTION_MANUAL
