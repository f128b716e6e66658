# Generated from proto/anchor/session/v1/session.proto by `make proto`. Do not edit.
"""Any message from the server."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from orchestrator.conversation.messages.system_status import SystemStatus


class WaitDecision(IntEnum):
    """What determined the length of an end-of-turn wait."""

    WAIT_DECISION_UNSPECIFIED = 0
    """Unspecified."""
    WAIT_DECISION_PREDICTION = 1
    """The predictor's probability."""
    WAIT_DECISION_NO_JUDGEMENT = 2
    """No prediction arrived in time: the default wait applies."""
    WAIT_DECISION_FLOOR = 3
    """The predictor is so certain that the minimum wait applies."""
    WAIT_DECISION_CEILING = 4
    """The sentence is so clearly unfinished that the maximum wait applies."""
    WAIT_DECISION_HABIT = 5
    """The user's own pauses: the user continued after silences that had been taken for the end of a turn."""


class BargeInVerdict(IntEnum):
    """Verdict on the user's sound over a reply."""

    BARGE_IN_VERDICT_UNSPECIFIED = 0
    """Unspecified."""
    BARGE_IN_VERDICT_STOP_WORDS = 1
    """Intended words: the reply stops."""
    BARGE_IN_VERDICT_STOP_DURATION = 2
    """Sustained speech: the reply stops."""
    BARGE_IN_VERDICT_BACKCHANNEL = 3
    """Backchannel ("mhm"): the user is listening, and the reply continues."""
    BARGE_IN_VERDICT_ECHO = 4
    """Echo of the anchor's own words in the microphone: the reply continues."""
    BARGE_IN_VERDICT_COUGH = 5
    """Short sound without words, such as a cough: the reply continues."""
    BARGE_IN_VERDICT_CONTINUATION = 6
    """The user continued the question before the client had played any of the reply: the reply is withdrawn, and its
    turn is reopened. The words belong to that turn, `reply_turn_id`.
    """


class AdmissionState(IntEnum):
    """Whether a user may speak."""

    ADMISSION_STATE_UNSPECIFIED = 0
    """Unspecified."""
    ADMISSION_STATE_WAITING = 1
    """All places are taken, and the user waits in the queue. What was just said or written is not answered."""
    ADMISSION_STATE_ADMITTED = 2
    """The user has a place, which is kept for a few seconds of silence."""


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """The session is open. No impairment is active until a `service_notice` with `active` set reports one; after a
    reconnect the active ones are sent again.
    """

    session_id: str
    """Id of this session, for logs and for the `session_start` of a reconnect."""
    ticket: str
    """Ticket that identifies the conversation in a later `session_start`. Keep it secret."""
    language: str
    """Language of the conversation, ISO 639-1."""
    voice: str
    """Voice id; empty for the language's default voice."""
    persona: str
    """Persona id."""
    microphone_sample_rate_hz: int
    """Sample rate that the server expects of microphone audio, in Hz."""
    anchor_sample_rate_hz: int
    """Sample rate of the reply audio, in Hz."""
    resumed: bool
    """Whether the conversation has a history. If `session_id` is the id that the client had before, the session itself
    continues, and the server replays its current state.
    """
    patience: float
    """Factor of the end-of-turn wait, as in `set_patience`."""
    retention_days: int | None = None
    """How long the conversation is kept after its last use, in days; absent where nothing is stored."""
    sent_unix_s: float | None = None
    """Time at which this was sent, in seconds since 1970 on the server's clock: the difference to the client's clock
    makes the times of `turn_spoken` comparable with it.
    """
    barge_in: BargeIn | None = None
    """What stops a reply when the user speaks over it."""


@dataclass(frozen=True, slots=True)
class Choices:
    """Available languages, voices and personas."""

    languages: tuple[str, ...] = ()
    """Languages, ISO 639-1, and `auto`."""
    voices: tuple[VoiceChoice, ...] = ()
    """Voices, each language's default first; empty until the TTS service has answered once."""
    personas: tuple[PersonaChoice, ...] = ()
    """Personas."""
    sample_questions: tuple[SampleQuestions, ...] = ()
    """Questions that the knowledge folder answers, by language; empty where a language model answers that does not read
    it.
    """


@dataclass(frozen=True, slots=True)
class SampleQuestions:
    """Questions to begin with, in one language."""

    language: str
    """Language of the questions, ISO 639-1."""
    questions: tuple[str, ...] = ()
    """The questions, at most 3, each of at most 120 characters on one line."""


@dataclass(frozen=True, slots=True)
class VoiceChoice:
    """A voice that the client may select."""

    id: str
    """Id for `set_voice`."""
    name: str
    """Display name."""
    languages: tuple[str, ...] = ()
    """Languages that the voice speaks, ISO 639-1."""
    engine: str = ""
    """TTS engine of the voice."""
    cloned: bool = False
    """Whether the voice was cloned from a recording."""
    style_fields: tuple[str, ...] = ()
    """Fields of `set_style` that the voice follows: `pace`, `warmth`, `humour`, `energy`."""


@dataclass(frozen=True, slots=True)
class PersonaChoice:
    """A persona that the client may select."""

    id: str
    """Id for `set_persona`."""
    name: str
    """Display name."""
    description: str = ""
    """Description in one sentence; may be empty."""
    voices: tuple[LanguageVoice, ...] = ()
    """Voices of the persona, by language; in the other languages the language's default voice speaks."""


@dataclass(frozen=True, slots=True)
class LanguageVoice:
    """The voice that speaks a language."""

    language: str
    """Language, ISO 639-1."""
    voice: str
    """Voice id."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Start of the user's speech."""

    at_ms: int
    """Start of speech, in milliseconds on the audio clock."""


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """End of the user's speech."""

    at_ms: int
    """End of speech, in milliseconds on the audio clock."""


@dataclass(frozen=True, slots=True)
class PartialTranscript:
    """Partial transcript of the user's current turn."""

    turn_id: int
    """Id of the turn in progress."""
    text: str
    """Text of the turn so far, from its beginning."""


@dataclass(frozen=True, slots=True)
class FinalTranscript:
    """Final transcript of a user turn."""

    turn_id: int
    """Id of the turn."""
    revision: int
    """Number of this final transcript within the turn, from 1."""
    text: str
    """Full text of the turn; empty when STT found no words."""
    language: str = ""
    """Language of the text, ISO 639-1; empty when unknown."""
    confidence: float | None = None
    """Confidence, 0 to 1; absent where the engine provides none."""
    words: tuple[Word, ...] = ()
    """Words of the text with timestamps, when `session_start` requested them; empty where the engine provides none."""
    language_probability: float | None = None
    """Probability of `language`, 0 to 1; absent where the engine did not detect the language, or provides none."""


@dataclass(frozen=True, slots=True)
class Word:
    """A transcribed word with its timestamps."""

    text: str
    """The word as it appears in the text, with its punctuation."""
    start_ms: int
    """Start of the word, in milliseconds on the audio clock."""
    end_ms: int
    """End of the word, in milliseconds on the audio clock."""
    confidence: float | None = None
    """Confidence, 0 to 1; absent where the engine provides none."""


@dataclass(frozen=True, slots=True)
class PredictorOpinion:
    """Probability from one part of a composite predictor."""

    name: str
    """Name of the part, such as `text`."""
    probability: float
    """Probability that the turn is over, 0 to 1, according to this part alone."""


@dataclass(frozen=True, slots=True)
class TurnEndPredicted:
    """End-of-turn wait of a silence, and its reason. A later message for the same `at_ms` replaces it."""

    at_ms: int
    """Start of the silence, in milliseconds on the audio clock."""
    probability: float | None = None
    """Probability that the turn is over, 0 to 1; absent when no prediction arrived in time."""
    predictor: str = ""
    """Name of the predictor; empty when no prediction arrived."""
    wait_ms: int = 0
    """Length of silence before the turn commits, in milliseconds from `at_ms`."""
    patience: float = 0.0
    """User's patience factor that the wait includes, as in `set_patience`."""
    decided_by: WaitDecision = WaitDecision.WAIT_DECISION_UNSPECIFIED
    """What determined the wait."""
    opinions: tuple[PredictorOpinion, ...] = ()
    """Probabilities of the predictor's parts; empty when the predictor has none."""
    silence_ms: int = 0
    """Length of the silence at the time of the prediction, in milliseconds; 0 when unknown."""


@dataclass(frozen=True, slots=True)
class TurnCommitted:
    """The user's turn is over."""

    turn_id: int
    """Id of the turn."""
    text: str
    """Text of the user's turn."""
    replaces_turn_id: int | None = None
    """Id of the turn that this one replaces, as in `text_input`; absent for others."""


@dataclass(frozen=True, slots=True)
class ReplyStarted:
    """The anchor starts to answer."""

    turn_id: int
    """Id of the answered turn."""
    engine: str
    """Name of the engine that generates the reply; `phrase` for one of the persona's fixed phrases, `again` for what
    `speak_again` asked for.
    """


@dataclass(frozen=True, slots=True)
class ReplySources:
    """The passages of the knowledge folder that a reply is taken from."""

    turn_id: int
    """Id of the answered turn."""
    sources: tuple[ReplySource, ...] = ()
    """The passages, at most 4."""


@dataclass(frozen=True, slots=True)
class ReplySource:
    """A passage of the knowledge folder."""

    title: str
    """Title, at most 200 characters."""
    file: str
    """Path of the file in the knowledge folder, such as `news/ferry.md`."""
    text: str
    """Text of the passage, at most 4000 characters: a longer one is cut and ends with an ellipsis."""
    language: str
    """Language of the passage, ISO 639-1."""


@dataclass(frozen=True, slots=True)
class ReplyText:
    """Next part of the reply's text."""

    turn_id: int
    """Id of the answered turn."""
    text: str
    """Characters to append."""


@dataclass(frozen=True, slots=True)
class ReplyAudio:
    """Position of the audio frames that follow."""

    turn_id: int
    """Id of the answered turn."""
    offset_ms: int
    """Offset of the next frame's first sample in the reply, in milliseconds."""


@dataclass(frozen=True, slots=True)
class AnchorAudio:
    """A run of the reply's audio."""

    pcm: bytes
    """Samples: signed 16-bit little endian, mono, 24000 Hz."""


@dataclass(frozen=True, slots=True)
class SpeechMark:
    """Position of a span of the reply's text in the reply's audio."""

    turn_id: int
    """Id of the answered turn."""
    text_start: int
    """Index of the span's first character in the reply's text, in Unicode code points."""
    text_end: int
    """Index after the span's last character, in Unicode code points."""
    offset_ms: int
    """Offset at which the span begins in the reply's audio, in milliseconds."""


@dataclass(frozen=True, slots=True)
class PlaybackPause:
    """Pauses playback of a reply."""

    turn_id: int
    """Id of the reply's turn."""


@dataclass(frozen=True, slots=True)
class PlaybackResume:
    """Resumes playback of a reply."""

    turn_id: int
    """Id of the reply's turn."""


@dataclass(frozen=True, slots=True)
class PlaybackStop:
    """Stops playback of a reply and discards its audio."""

    turn_id: int
    """Id of the reply's turn."""


@dataclass(frozen=True, slots=True)
class BargeInSettled:
    """Verdict on the user's sound over a reply. Unless the verdict is a stop, the turn that the sound opened ends here:
    neither `turn_committed` nor a reply follows for it.
    """

    turn_id: int
    """Id of the turn that the sound opened, which its transcripts belong to."""
    reply_turn_id: int
    """Id of the turn whose reply was playing."""
    verdict: BargeInVerdict
    """The verdict."""


@dataclass(frozen=True, slots=True)
class ReplyAudioEnded:
    """All audio of a reply has been sent."""

    turn_id: int
    """Id of the reply's turn."""
    duration_ms: int
    """Length of the reply in milliseconds."""


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    """A reply is over."""

    turn_id: int
    """Id of the reply's turn."""
    heard_text: str
    """Text that the user heard, which history keeps."""
    heard_ms: int
    """Length of the audio that the user heard, in milliseconds."""
    interrupted: bool
    """Whether the reply was cut off."""
    estimated: bool
    """Whether `heard_text` is an estimate: the client does not report playback, or only part of the reply was heard and
    the TTS engine provides no marks.
    """


@dataclass(frozen=True, slots=True)
class TurnSpoken:
    """When and by whom a turn was spoken. Sent before its reply starts, and again when that is over; the later message
    replaces the earlier one. Times are in seconds since 1970 on the server's clock.
    """

    turn_id: int
    """Id of the turn."""
    user_began_unix_s: float | None = None
    """Start of the user's speech, or arrival of what they wrote or asked for; absent when neither began the turn."""
    user_ended_unix_s: float | None = None
    """End of the user's speech, or the same arrival."""
    reply_began_unix_s: float | None = None
    """When the first sample of the reply was heard; absent while none was."""
    reply_ended_unix_s: float | None = None
    """End of the reply; absent until it is over, and when none of it was heard."""
    persona: str = ""
    """Id of the persona that speaks."""
    speaker: str = ""
    """Display name of that persona."""
    voice: str = ""
    """Voice id; empty for the language's default voice."""
    language: str = ""
    """Language of the reply, ISO 639-1."""


@dataclass(frozen=True, slots=True)
class TurnSaved:
    """A turn as stored: what the user said, and of the reply what was heard. A later message for the same turn replaces
    it.
    """

    turn_id: int
    """Id of the turn."""
    heard_ms: int | None = None
    """Length of the heard part of the reply, in milliseconds; absent until the reply is over."""


@dataclass(frozen=True, slots=True)
class TurnFailed:
    """A reply failed."""

    turn_id: int
    """Id of the turn."""
    code: str
    """Stable dotted code, as in `error`."""
    message: str
    """Human-readable description."""


@dataclass(frozen=True, slots=True)
class LatencyWaterfall:
    """Latency of one turn by stage. Stages are in milliseconds after the end of the user's speech, or, of a written
    turn, after its commit, in the order in which they occur; a stage that has not occurred is absent.
    """

    turn_id: int
    """Id of the turn."""
    speech_end_ms: int
    """End of the user's speech, in milliseconds on the audio clock: `at_ms` of the `turn_end_predicted` that explains
    the wait. 0 for a written turn.
    """
    speech_stopped_ms: int | None = None
    """Turn detection reported the silence."""
    final_transcript_ms: int | None = None
    """The transcript that was answered arrived."""
    turn_committed_ms: int | None = None
    """The turn was committed."""
    first_token_ms: int | None = None
    """The language model produced its first token."""
    first_phrase_ms: int | None = None
    """The TTS service had enough text for the first phrase."""
    first_audio_ms: int | None = None
    """The TTS service produced its first audio."""
    first_frame_sent_ms: int | None = None
    """The first audio frame was sent."""
    first_sample_heard_ms: int | None = None
    """The client played the first sample, according to its reports."""
    budget_ms: int = 0
    """Configured latency budget from the end of speech to the first frame sent, in milliseconds; 0 when none is set."""


@dataclass(frozen=True, slots=True)
class SessionUpdated:
    """Current settings of the session."""

    language: str
    """Language, ISO 639-1."""
    voice: str
    """Voice id; empty for the language's default voice."""
    persona: str
    """Persona id."""
    patience: float
    """Factor of the end-of-turn wait, as in `set_patience`."""
    style: Style | None = None
    """Speaking style."""
    barge_in: BargeIn | None = None
    """What stops a reply when the user speaks over it."""


@dataclass(frozen=True, slots=True)
class BargeIn:
    """What stops a reply when the user speaks over it, as in `set_barge_in`; for an absent field the server's default
    applies.
    """

    stop_ms: int | None = None
    """Length of the speech that stops the reply, with or without words, in milliseconds."""
    min_words: int | None = None
    """The fewest words that stop it."""


@dataclass(frozen=True, slots=True)
class Style:
    """Speaking style, as in `set_style`; for an absent field the voice's and the persona's own style applies."""

    pace: float | None = None
    """Speech rate, 0.5 to 2; 1 is the voice's own rate."""
    warmth: float | None = None
    """Warmth, 0 (cool) to 1 (warm)."""
    humour: float | None = None
    """Humour, 0 (earnest) to 1 (playful)."""
    energy: float | None = None
    """Energy, 0 (calm) to 1 (lively)."""


@dataclass(frozen=True, slots=True)
class ServiceNotice:
    """A service or a capability is impaired, or has recovered. The session continues in both cases. After
    `session_started` no impairment is active until a notice with `active` set reports it; after a reconnect the
    active ones are sent again.
    """

    code: str
    """Stable dotted code, such as `stt.unavailable` or `memory.text_only`; the same for the start and the end."""
    active: bool
    """Whether the impairment is active (true) or has ended (false)."""
    message: str
    """Human-readable description."""


@dataclass(frozen=True, slots=True)
class Error:
    """A client message was rejected, or part of a reply failed; the session continues unless `session_ended` follows.
    Codes `tts.*` report a late TTS or failover: another service continues the reply, or captions replace its audio.
    A service's code may also report that the service rejected the session's settings (`stt.language_unsupported`).
    """

    code: str
    """Stable dotted code, such as `session.unknown_language`."""
    message: str
    """Human-readable description."""
    retryable: bool
    """Whether a retry may succeed."""
    retry_after_s: int | None = None
    """After how many seconds a retry may succeed; absent when that is not known."""


@dataclass(frozen=True, slots=True)
class SpeechActivity:
    """Probability of speech at one moment, from voice activity detection. Not sent with manual turn detection, nor
    while vad-service is away.
    """

    at_ms: int
    """End of the analysed audio, in milliseconds on the audio clock."""
    probability: float
    """Probability of speech, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a `ping`."""

    ping_id: int
    """The number of the `ping`."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether the user may speak now: as many people speak at a time as the machine can answer, and others wait in a
    queue. Sent when the user speaks or writes without a place, and whenever the position changes until there is one.
    """

    state: AdmissionState
    """Whether there is a place."""
    position: int
    """Position in the queue, from 1; 0 for who has a place."""
    expected_wait_s: int
    """Estimated wait in seconds; 0 for who has a place."""


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The session is over; reports the reason."""

    code: str
    """Stable dotted code, such as `session.closed_by_client`."""
    message: str
    """Human-readable description."""


ServerMessage = (
    # The session is open. Always the first message.
    SessionStarted
    # The user started to speak.
    | SpeechStarted
    # The user stopped speaking, perhaps only for a pause.
    | SpeechStopped
    # Partial transcript of the user's turn; replaces the previous one.
    | PartialTranscript
    # Final transcript of the user's turn; a higher revision for the same turn replaces it until `turn_committed`.
    | FinalTranscript
    # End-of-turn prediction and the wait derived from it.
    | TurnEndPredicted
    # The user's turn is over; its text is what the anchor answers.
    | TurnCommitted
    # The anchor starts to answer.
    | ReplyStarted
    # Next part of the reply's text.
    | ReplyText
    # Position of the audio frames that follow: their reply and offset. Precedes a reply's first frame and every jump.
    | ReplyAudio
    # Audio of the reply. gRPC only: a WebSocket client receives binary frames.
    | AnchorAudio
    # Position of a span of the reply's text in its audio.
    | SpeechMark
    # Pause playback at its current position.
    | PlaybackPause
    # Resume paused playback.
    | PlaybackResume
    # Stop playback and discard all audio of this reply immediately.
    | PlaybackStop
    # All audio of this reply has been sent; the client may still be playing it.
    | ReplyAudioEnded
    # The reply is over. Reports how much of it the user heard.
    | ReplyFinished
    # The reply failed.
    | TurnFailed
    # Latency of each stage of this turn. Sent at the first sound of its reply, and again after `reply_finished` with
    # the stages reached since; the later message replaces the earlier one.
    | LatencyWaterfall
    # Health of the services.
    | SystemStatus
    # Settings of the session. Sent when they change, and after the `session_started` of a conversation with a history.
    | SessionUpdated
    # A client message was rejected, or part of a reply failed. The session continues unless `session_ended` follows.
    | Error
    # The session is over. Always the last message.
    | SessionEnded
    # Verdict on the user's sound over a reply (possible barge-in).
    | BargeInSettled
    # Available languages, voices and personas. Follows `session_started`; sent again when they change.
    | Choices
    # A service failed or recovered, or a degradation began or ended.
    | ServiceNotice
    # The passages that the reply is taken from. Precedes the text; not sent for a reply without passages.
    | ReplySources
    # The turn is stored: it survives the end of the server. Not sent where nothing is stored, nor while storing fails.
    | TurnSaved
    # Whether the user may speak, where all places were taken. Only sent to clients that wait.
    | Admission
    # When and by whom a turn was spoken.
    | TurnSpoken
    # The answer to a `ping`.
    | Pong
    # Probability of speech in the microphone audio, at most ten times a second; only sent to clients that subscribed.
    | SpeechActivity
)
"""Any message from the server."""
