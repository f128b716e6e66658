"""What one client may ask of a door."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """Bounds of the doors; sizes in bytes, times in seconds."""

    # Rate of a streaming client's microphone, where it declares none.
    microphone_rate_hz: int = 16_000
    # How long a streaming client may take to say `session_start`.
    first_message_s: float = 10.0
    # A streaming client is put out after this many messages that could not be accepted.
    bad_messages: int = 20
    # Commands a second, on average and at once; more have to wait.
    commands_per_s: float = 50.0
    commands_at_once: float = 100.0
    # Audio messages a second, on average and at once.
    audio_messages_per_s: float = 1000.0
    audio_messages_at_once: float = 500.0
    # Seconds of audio a second, on average and at once: a file may come faster than it was spoken.
    audio_pace: float = 20.0
    audio_at_once_s: float = 60.0
    # Largest run of microphone audio in one message: 0.7 s at 48 kHz.
    audio_message_bytes: int = 65_536
    # Longest text in any field of a message, in characters.
    text_chars: int = 8_000
    # How long the last words to a client may take before it is left.
    goodbye_s: float = 2.0
    # Largest body of a request that is no recording, and how long it may take.
    small_body_bytes: int = 65_536
    small_body_s: float = 10.0
    # Largest recording, as sent.
    upload_bytes: int = 16 * 1024 * 1024
    # Longest recording, as heard.
    upload_audio_s: float = 60.0
    # Recordings held at the same time, over all clients; more are refused.
    uploads: int = 8
    # How long sending a recording may take.
    upload_s: float = 90.0
    # How long decoding may take. Its processor time is limited to the same.
    decode_s: float = 10.0
    # Longest spoken answer to a recording; a longer one is cut off.
    answer_audio_s: float = 300.0
    # How long an answer to a recording may take in all, and then its delivery.
    answer_s: float = 120.0
