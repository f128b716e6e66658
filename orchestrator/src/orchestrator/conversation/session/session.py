"""A session: one client, one conversation, one task that changes state.

Client messages, speech events, timers and replies all arrive through one event queue. `_converse` handles them one at a
time: it asks the pure `TurnTaking` what to do and does it, so nothing here needs a lock.
"""

from __future__ import annotations

import asyncio
import logging
import uuid

from service_kit.errors import AnchorError, InvalidRequest
from service_kit.observability.context import SESSION_ID
from service_kit.tasks import run_together

from orchestrator.conversation.connection.outbox import Outbox
from orchestrator.conversation.echo.echo_detector import EchoDetector, echo_span
from orchestrator.conversation.echo.transcript_echo import NO_PLAYBACK, PlaybackContext
from orchestrator.conversation.input.microphone import Microphone
from orchestrator.conversation.input.speech_input import SpeechInput
from orchestrator.conversation.messages import server as messages
from orchestrator.conversation.messages.client import (
    Command,
    EndTurn,
    PlaybackProgress,
    RequestStatus,
    SessionStart,
    SetLanguage,
    SetPatience,
    SetPersona,
    SetStyle,
    SetVoice,
    TurnDetection,
)
from orchestrator.conversation.messages.server import (
    Error,
    ServiceNotice,
    SessionEnded,
    TurnCommitted,
    TurnFailed,
)
from orchestrator.conversation.model import events as do
from orchestrator.conversation.model.audio_clock import AudioClock
from orchestrator.conversation.model.conversation import Conversation, Preference
from orchestrator.conversation.model.event_queue import EventQueue
from orchestrator.conversation.model.events import (
    Action,
    Connected,
    Disconnected,
    Event,
    ReplyDone,
    ReplyFailed,
    ServiceLost,
    ServiceRecovered,
    TimerFired,
)
from orchestrator.conversation.model.ports import FinalTranscript, SpeechStarted, SpeechStopped
from orchestrator.conversation.model.services import Services
from orchestrator.conversation.observability.turn_trace import begin_turn, traced_session
from orchestrator.conversation.observability.waterfall import Waterfall
from orchestrator.conversation.output.active_reply import ActiveReply
from orchestrator.conversation.session.notifications import session_updated, transcript_message
from orchestrator.conversation.session.presence import Presence, SessionClosed
from orchestrator.conversation.turns.turn import TurnRules
from orchestrator.conversation.turns.turn_taking import TurnTaking, User

log = logging.getLogger(__name__)


class Session:
    """One session. `run` is the whole of its life; the connections to its client come and go meanwhile."""

    def __init__(
        self,
        *,
        services: Services,
        rules: TurnRules,
        conversation: Conversation,
        start: SessionStart,
        resume_s: float = 0,
    ) -> None:
        """`resume_s` is how long a client whose connection dropped is waited for."""
        self.session_id = uuid.uuid4().hex[:12]
        self._services = services
        self._conversation = conversation
        self._loop = asyncio.get_running_loop()
        self._clock = AudioClock(self._loop.time)
        self._event_queue = EventQueue()
        self._outbox = Outbox()
        self._start = start
        self.presence = Presence(
            self.session_id,
            conversation=conversation,
            services=services,
            event_queue=self._event_queue,
            outbox=self._outbox,
            resume_s=resume_s,
        )
        self._turn_taking = TurnTaking(rules, conversation.history.last_turn_id(), conversation.preferences.patience)
        self._word_times = start.word_times
        self._waterfall = Waterfall(0)
        # When what is being dealt with happened, on the loop's clock.
        self._event_s = 0.0
        # When the latest final transcript came.
        self._final_s = 0.0
        self._speech_input = SpeechInput(
            voice_activity=services.voice_activity,
            speech_to_text=services.speech_to_text,
            microphone=Microphone(self._clock, services.audio_filter()),
            language=conversation.preferences.language,
            manual=_is_manual(start),
            event_queue=self._event_queue,
        )
        self._active_reply = ActiveReply(
            services=services,
            conversation=conversation,
            outbox=self._outbox,
            event_queue=self._event_queue,
            clock=self._clock,
            echo_detector=EchoDetector(self._clock, self._speech_input.recent, rules.barge_in.echo_defence),
            reports_playback=start.reports_playback,
            latency_budget_ms=rules.latency_budget_ms,
        )

    async def run(self) -> None:
        """Converse until the end. Raises the error that brought it about, if one did; the client has been told."""
        SESSION_ID.set(self.session_id)
        with traced_session():
            await self._run()

    async def handle_input(self, item: bytes | Command) -> None:
        """Take what comes from the client: microphone audio (PCM16 mono 16 kHz), or a command."""
        if isinstance(item, bytes):
            self._speech_input.push_audio(item)
        elif isinstance(item, EndTurn):
            await self._speech_input.end_turn()
        else:
            await self._event_queue.put(item)

    def matches(self, start: SessionStart) -> bool:
        """Whether a client that opens like this can go on with this session: it ends turns and reports alike."""
        mine = self._start
        return (_is_manual(start), start.reports_playback) == (_is_manual(mine), mine.reports_playback)

    @property
    def _has_begun(self) -> bool:
        """Whether anything was said: without that, a new session is as good as this one."""
        listening = self._turn_taking.listening_since_ms is not None
        return listening or self._active_reply.waterfall is not None or bool(self._conversation.messages)

    async def _run(self) -> None:
        log.info("session started", extra={"language": self._conversation.preferences.language})
        ending: SessionEnded | None = None
        try:
            await run_together(
                self._active_reply.run(),
                self._speech_input.run(),
                self._converse(),
                self.presence.closed(),
            )
        except SessionClosed:
            ending = SessionEnded("session.closed_by_client", "the client ended the session")
        except AnchorError as error:
            ending = SessionEnded(error.code, error.message)
            raise
        finally:
            self._end_turns()
            log.info("session ended", extra={"code": ending.code if ending else "session.broken_off"})
            self.presence.close(ending)

    async def _converse(self) -> None:
        while True:
            event = await self._event_queue.get()
            self._apply_event(event)
            for action in self._turn_taking.handle(event, self._sounding(event)):
                await self._perform(action)
            await self._follow_up(event)

    def _sounding(self, event: Event) -> PlaybackContext:
        """What of the anchor's own voice and words may be in what is heard of the user."""
        span = echo_span(event, self._turn_taking.listening_since_ms, self._clock.now_ms)
        return NO_PLAYBACK if span is None else self._active_reply.playback_context(*span)

    # Events ---------------------------------------------------------------------------------------------------------

    def _apply_event(self, event: Event) -> None:
        """What an event means before the policy speaks: what the client is told, and when the turn's clock starts."""
        now_s = self._loop.time()
        self._event_s = self._clock.loop_s(event.at_ms) if isinstance(event, SpeechStarted) else now_s
        match event:
            case SpeechStarted():
                self._outbox.send(messages.SpeechStarted(event.at_ms))
            case FinalTranscript():
                self._final_s = now_s
            case SpeechStopped():
                self._waterfall.speech_ended(event.at_ms, self._clock.loop_s(event.at_ms))
                self._waterfall.reached("speech_stopped", now_s, again=True)
                self._outbox.send(messages.SpeechStopped(event.at_ms))
            case EndTurn():
                self._waterfall.speech_ended(self._clock.now_ms, now_s)
            case Connected():
                if self.presence.on_connected(event.connection):
                    self._speech_input.on_reconnect()
                    self._active_reply.on_reconnect(event.connection.received)
            case Disconnected():
                if self.presence.on_disconnected(begun=self._has_begun):
                    self._speech_input.on_disconnect()
                    self._active_reply.on_disconnect()
            case ServiceLost():
                log.warning("peer lost", extra={"peer": event.service, "code": event.error.code})
                if isinstance(event.error, InvalidRequest):
                    self._outbox.send(Error(event.error.code, event.error.message, event.error.retryable))
                else:
                    self._outbox.send(ServiceNotice(event.error.code, active=True, message=event.error.message))
            case ServiceRecovered():
                log.info("peer back", extra={"peer": event.service})
                if not isinstance(event.error, InvalidRequest):
                    self._outbox.send(ServiceNotice(event.error.code, False, f"{event.service} works again"))
            case ReplyFailed():
                self._outbox.send(TurnFailed(event.turn_id, event.error.code, event.error.message))
            case _:
                pass

    async def _follow_up(self, event: Event) -> None:
        """What an event brings about after the policy has spoken, or without its interest."""
        match event:
            case EndTurn():
                self._speech_input.confirm_turn_end()
            case PlaybackProgress():
                self._active_reply.on_playback_progress(event)
            case ReplyDone() | ReplyFailed():
                self._active_reply.on_reply_done(event.turn_id)
            case SetLanguage() | SetVoice() | SetPersona() | SetStyle() | SetPatience():
                self._set_preference(event)
            case RequestStatus():
                self._outbox.send(await self._services.system_status())
            case _:
                pass

    def _set_preference(self, event: Preference) -> None:
        try:
            self._services.check_preference(event)
        except InvalidRequest as error:
            self._outbox.send(Error(error.code, error.message, error.retryable))
            return
        self._conversation.preferences.set(event)
        if isinstance(event, SetLanguage):
            self._speech_input.set_language(event.language)
            if not self._services.speaks(self._conversation.preferences.voice, event.language):
                self._conversation.preferences.set(SetVoice(""))
        if isinstance(event, SetPatience):
            self._turn_taking.patience.stretch = event.patience
        self._outbox.send(session_updated(self._conversation))

    # Actions --------------------------------------------------------------------------------------------------------

    def _open_turn(self, turn_id: int) -> None:
        if self._waterfall is not self._active_reply.waterfall:
            self._waterfall.end("unanswered", self._loop.time())
        self._waterfall = Waterfall(turn_id, begin_turn(turn_id, self._event_s))

    def _end_turns(self) -> None:
        if answered := self._active_reply.waterfall:
            answered.end("session_ended", self._loop.time())
        speaking = self._turn_taking.user is User.SPEAKING
        self._waterfall.end("session_ended" if speaking else "unanswered", self._loop.time())

    async def _perform(self, action: Action) -> None:
        match action:
            case do.OpenTurn():
                self._open_turn(action.turn_id)
            case do.PrefillPrompt():
                self._active_reply.prefill(action.turn_id)
            case do.StartListening():
                self._speech_input.start_listening(action.from_ms)
            case do.FlushSegment():
                self._speech_input.flush_segment(action.segment_id)
            case do.CommitSegment():
                self._speech_input.commit_segment(action.segment_id)
            case do.StartReply():
                self._waterfall.reached("final_transcript", self._final_s, again=True)
                await self._active_reply.start(action, self._waterfall)
            case do.SpeakPhrase():
                await self._active_reply.speak_phrase(action, self._waterfall)
            case do.DropReply():
                await self._active_reply.discard(action.turn_id)
            case do.CommitTurn():
                self._waterfall.reached("turn_committed", self._loop.time(), again=True)
                self._conversation.history.add_user(action.turn_id, action.text)
                self._outbox.send(TurnCommitted(action.turn_id, action.text))
            case do.ReopenTurn():
                self._conversation.history.remove_turn(action.turn_id)
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
            case do.AnnouncePartial() | do.AnnounceFinal() | do.AnnounceWait():
                self._outbox.send(transcript_message(action, word_times=self._word_times))


def _is_manual(start: SessionStart) -> bool:
    """Whether the client ends the user's turns; unspecified counts as automatic."""
    return start.turn_detection is TurnDetection.TURN_DETECTION_MANUAL
