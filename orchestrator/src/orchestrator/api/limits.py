"""Limits of the client APIs."""

from __future__ import annotations

from dataclasses import dataclass

from service_kit.audio import MICROPHONE


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """Limits per client, where not stated otherwise; sizes in bytes, times in seconds."""

    # Microphone rate of a streaming client that declares none.
    microphone_rate_hz: int = MICROPHONE.rate_hz
    # Time for a streaming client to send `session_start`.
    first_message_timeout_s: float = 10.0
    # Invalid messages after which a client's connection closes.
    max_bad_messages: int = 20
    # Commands per second, on average and in a burst; further ones are delayed.
    commands_per_s: float = 50.0
    command_burst: float = 100.0
    # Audio messages per second, on average and in a burst.
    audio_messages_per_s: float = 1000.0
    audio_message_burst: float = 500.0
    # Seconds of audio per second, on average and in a burst; a file may be sent faster than real time.
    audio_rate: float = 20.0
    audio_burst_s: float = 60.0
    # Largest audio message: 0.7 s at 48 kHz.
    max_audio_message_bytes: int = 65_536
    # Longest text in any field of a message, in characters.
    max_text_chars: int = 8_000
    # Time to deliver the last messages and close the connection, before it is abandoned.
    close_timeout_s: float = 2.0
    # Largest body of a request other than an upload, and the time to receive it.
    max_body_bytes: int = 65_536
    body_timeout_s: float = 10.0
    # Largest recording, as sent.
    max_upload_bytes: int = 16 * 1024 * 1024
    # Longest recording, decoded.
    max_upload_audio_s: float = 60.0
    # Concurrent recordings over all clients; further ones are refused.
    max_uploads: int = 8
    # Time to receive a recording.
    upload_timeout_s: float = 90.0
    # Time to decode a recording; also the limit of its CPU time.
    decode_timeout_s: float = 10.0
    # Consents that wait for their voice, over all clients, and how long each waits.
    max_pending_consents: int = 32
    pending_consent_s: float = 3600.0
    # Longest recorded statement of consent.
    max_consent_audio_s: float = 30.0
    # Voices and consents added over all clients, a minute on average and in a burst; further ones are refused.
    voice_additions_per_min: float = 6.0
    voice_addition_burst: float = 10.0
    # Longest text of `/v1/audio/speech`, in characters.
    max_speech_chars: int = 4096
    # Watchers of captions over all clients, those who have not named their key yet, and the time for one write to them.
    max_watchers: int = 64
    max_pending_watchers: int = 16
    watcher_send_timeout_s: float = 10.0
    # Longest spoken answer to a one-shot question; a longer one is cut off.
    max_answer_audio_s: float = 300.0
    # Time to produce an answer to a one-shot question, or more of its speech; then the same again to deliver it.
    answer_timeout_s: float = 120.0
