"""A session: one client, one conversation, one task that changes state.

The client's messages, the ears' events, timers and replies all come in through one inbox. `_converse` takes them out
one by one, asks the pure `TurnTaking` what to do, and does it; so nothing here needs a lock.
"""

from __future__ import annotations

import asyncio
import logging
import uuid

from service_kit.errors import AnchorError, InvalidRequest
from service_kit.observability.context import SESSION_ID
from service_kit.tasks import run_together

from orchestrator.conversation.connection.outbox import Outbox
from orchestrator.conversation.echo.echo_detector import OwnVoice, span_of
from orchestrator.conversation.echo.transcript_echo import SILENCE, Sounding
from orchestrator.conversation.input.microphone import Microphone
from orchestrator.conversation.input.speech_input import Hearing
from orchestrator.conversation.messages.client import (
    Command,
    EndTurn,
    PlaybackProgress,
    Preference,
    RequestStatus,
    SessionStart,
    SetLanguage,
    SetPatience,
    SetPersona,
    SetStyle,
    SetVoice,
)
from orchestrator.conversation.messages.server import (
    Error,
    ServiceNotice,
    SessionEnded,
    SpeechStarted,
    SpeechStopped,
    TurnCommitted,
    TurnFailed,
)
from orchestrator.conversation.model import events as do
from orchestrator.conversation.model.audio_clock import AudioClock
from orchestrator.conversation.model.conversation import Conversation
from orchestrator.conversation.model.event_queue import Inbox
from orchestrator.conversation.model.events import (
    Action,
    Event,
    LineConnected,
    LineLost,
    PeerBack,
    PeerLost,
    ReplyDone,
    ReplyFailed,
    Woken,
)
from orchestrator.conversation.model.ports import FinalHeard, VoiceStarted, VoiceStopped
from orchestrator.conversation.model.services import Peers
from orchestrator.conversation.observability.turn_trace import begin_turn, traced_session
from orchestrator.conversation.observability.waterfall import Waterfall
from orchestrator.conversation.output.active_reply import Speaking
from orchestrator.conversation.session.announcing import announcement
from orchestrator.conversation.session.presence import Over, Presence
from orchestrator.conversation.session.welcome import settings
from orchestrator.conversation.turns.turn import TurnRules
from orchestrator.conversation.turns.turn_taking import TurnTaking, User

log = logging.getLogger(__name__)


class Session:
    """One session. `run` is the whole of its life; the lines to its client come and go meanwhile."""

    def __init__(
        self, *, peers: Peers, rules: TurnRules, conversation: Conversation, start: SessionStart, resume_s: float = 0
    ) -> None:
        """`resume_s` is how long a client whose line dropped is waited for."""
        self.session_id = uuid.uuid4().hex[:12]
        self._peers = peers
        self._conversation = conversation
        self._loop = asyncio.get_running_loop()
        self._clock = AudioClock(self._loop.time)
        self._inbox = Inbox()
        self._outbox = Outbox()
        self._start = start
        self.presence = Presence(
            self.session_id,
            conversation=conversation,
            peers=peers,
            inbox=self._inbox,
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
        self._hearing = Hearing(
            voice_activity=peers.voice_activity,
            speech_to_text=peers.speech_to_text,
            microphone=Microphone(self._clock, peers.hearing_aid()),
            language=conversation.preferences.language,
            manual=start.ends_turns,
            inbox=self._inbox,
        )
        self._speaking = Speaking(
            peers=peers,
            conversation=conversation,
            outbox=self._outbox,
            inbox=self._inbox,
            clock=self._clock,
            own_voice=OwnVoice(self._clock, self._hearing.recent, rules.barge_in.echo_defence),
            reports_playback=start.reports_playback,
            latency_budget_ms=rules.latency_budget_ms,
        )

    async def run(self) -> None:
        """Converse until the end. Raises the error that brought it about, if one did; the client has been told."""
        SESSION_ID.set(self.session_id)
        with traced_session():
            await self._run()

    async def take(self, item: bytes | Command) -> None:
        """Take what comes from the client: microphone audio (PCM16 mono 16 kHz), or a command."""
        if isinstance(item, bytes):
            self._hearing.hear(item)
        elif isinstance(item, EndTurn):
            await self._hearing.end_turn()
        else:
            await self._inbox.tell(item)

    def suits(self, start: SessionStart) -> bool:
        """Whether a client that opens like this can go on with this session: it ends turns and reports alike."""
        mine = self._start
        return (start.ends_turns, start.reports_playback) == (mine.ends_turns, mine.reports_playback)

    @property
    def _has_begun(self) -> bool:
        """Whether anything was said: without that, a new session is as good as this one."""
        listening = self._turn_taking.listening_since_ms is not None
        return listening or self._speaking.waterfall is not None or bool(self._conversation.messages)

    async def _run(self) -> None:
        log.info("session started", extra={"language": self._conversation.preferences.language})
        ending: SessionEnded | None = None
        try:
            await run_together(
                self._speaking.run(),
                self._hearing.run(),
                self._converse(),
                self.presence.until_over(),
            )
        except Over:
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
            event = await self._inbox.next()
            self._note(event)
            for action in self._turn_taking.on(event, self._sounding(event)):
                await self._perform(action)
            await self._follow_up(event)

    def _sounding(self, event: Event) -> Sounding:
        """What of the anchor's own voice and words may be in what is heard of the user."""
        span = span_of(event, self._turn_taking.listening_since_ms, self._clock.now_ms)
        return SILENCE if span is None else self._speaking.sounding(*span)

    # Events ---------------------------------------------------------------------------------------------------------

    def _note(self, event: Event) -> None:
        """What an event means before the policy speaks: what the client is told, and when the turn's clock starts."""
        now_s = self._loop.time()
        self._event_s = self._clock.loop_s(event.at_ms) if isinstance(event, VoiceStarted) else now_s
        match event:
            case VoiceStarted():
                self._outbox.send(SpeechStarted(event.at_ms))
            case FinalHeard():
                self._final_s = now_s
            case VoiceStopped():
                self._waterfall.speech_ended(event.at_ms, self._clock.loop_s(event.at_ms))
                self._waterfall.reached("speech_stopped", now_s, again=True)
                self._outbox.send(SpeechStopped(event.at_ms))
            case EndTurn():
                self._waterfall.speech_ended(self._clock.now_ms, now_s)
            case LineConnected():
                if self.presence.connected(event.line):
                    self._hearing.line_back()
                    self._speaking.line_back(event.line.received)
            case LineLost():
                if self.presence.lost(begun=self._has_begun):
                    self._hearing.line_lost()
                    self._speaking.line_lost()
            case PeerLost():
                log.warning("peer lost", extra={"peer": event.peer, "code": event.error.code})
                if isinstance(event.error, InvalidRequest):
                    self._outbox.send(Error(event.error.code, event.error.message, event.error.retryable))
                else:
                    self._outbox.send(ServiceNotice(event.error.code, active=True, message=event.error.message))
            case PeerBack():
                log.info("peer back", extra={"peer": event.peer})
                if not isinstance(event.error, InvalidRequest):
                    self._outbox.send(ServiceNotice(event.error.code, False, f"{event.peer} works again"))
            case ReplyFailed():
                self._outbox.send(TurnFailed(event.turn_id, event.error.code, event.error.message))
            case _:
                pass

    async def _follow_up(self, event: Event) -> None:
        """What an event brings about after the policy has spoken, or without its interest."""
        match event:
            case EndTurn():
                self._hearing.settle_turn()
            case PlaybackProgress():
                self._speaking.report(event)
            case ReplyDone() | ReplyFailed():
                self._speaking.finish(event.turn_id)
            case SetLanguage() | SetVoice() | SetPersona() | SetStyle() | SetPatience():
                self._prefer(event)
            case RequestStatus():
                self._outbox.send(await self._peers.system_status())
            case _:
                pass

    def _prefer(self, event: Preference) -> None:
        try:
            self._peers.check(event)
        except InvalidRequest as error:
            self._outbox.send(Error(error.code, error.message, error.retryable))
            return
        self._conversation.preferences.prefer(event)
        if isinstance(event, SetLanguage):
            self._hearing.set_language(event.language)
            if not self._peers.speaks(self._conversation.preferences.voice, event.language):
                self._conversation.preferences.prefer(SetVoice(""))
        if isinstance(event, SetPatience):
            self._turn_taking.patience.stretch = event.patience
        self._outbox.send(settings(self._conversation))

    # Actions --------------------------------------------------------------------------------------------------------

    def _open_turn(self, turn_id: int) -> None:
        if self._waterfall is not self._speaking.waterfall:
            self._waterfall.end("unanswered", self._loop.time())
        self._waterfall = Waterfall(turn_id, begin_turn(turn_id, self._event_s))

    def _end_turns(self) -> None:
        if answered := self._speaking.waterfall:
            answered.end("session_ended", self._loop.time())
        speaking = self._turn_taking.user is User.SPEAKING
        self._waterfall.end("session_ended" if speaking else "unanswered", self._loop.time())

    async def _perform(self, action: Action) -> None:
        match action:
            case do.OpenTurn():
                self._open_turn(action.turn_id)
            case do.WarmModel():
                self._speaking.warm(action.turn_id)
            case do.Listen():
                self._hearing.listen(action.from_ms)
            case do.Flush():
                self._hearing.flush(action.segment_id)
            case do.CommitSegment():
                self._hearing.commit(action.segment_id)
            case do.StartReply():
                self._waterfall.reached("final_transcript", self._final_s, again=True)
                await self._speaking.start(action, self._waterfall)
            case do.SayPhrase():
                await self._speaking.say(action, self._waterfall)
            case do.DropReply():
                await self._speaking.drop(action.turn_id)
            case do.CommitTurn():
                self._waterfall.reached("turn_committed", self._loop.time(), again=True)
                self._conversation.history.add_user(action.turn_id, action.text)
                self._outbox.send(TurnCommitted(action.turn_id, action.text))
            case do.ReopenTurn():
                self._conversation.history.withdraw(action.turn_id)
            case do.ReleaseReply():
                self._speaking.release(action.turn_id)
            case do.PausePlayback():
                self._speaking.pause(action.turn_id)
            case do.ResumePlayback():
                self._speaking.resume(action.turn_id)
            case do.StopReply():
                await self._speaking.stop(action.turn_id)
            case do.WakeAt():
                delay_s = (action.at_ms - self._clock.now_ms) / 1000
                self._loop.call_later(max(0.0, delay_s), self._inbox.tell_now, Woken(action.at_ms))
            case do.AnnounceBargeIn():
                self._speaking.settled(action)
            case do.AnnouncePartial() | do.AnnounceFinal() | do.AnnounceWait():
                self._outbox.send(announcement(action, word_times=self._word_times))
