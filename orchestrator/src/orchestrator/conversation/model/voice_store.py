"""The voices of tts-service: their list, and adding and deleting cloned ones; `clients.tts` implements the port."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from orchestrator.conversation.messages.server import VoiceChoice


@dataclass(frozen=True, slots=True)
class VoiceConsent:
    """A person's consent that their voice is cloned; field names as in the proto.

    `statement` is the person's words, `recording_wav` their recording (empty for written words); a listed consent has
    neither. `language` is ISO 639-1 or empty, `given_unix_s` in seconds since 1970.
    """

    id: str
    name: str
    language: str
    given_unix_s: int
    statement: str = ""
    recording_wav: bytes = b""


@dataclass(frozen=True, slots=True)
class StoredVoice:
    """A voice, with the consent and the time (seconds since 1970, 0 if unknown) of one that was cloned."""

    choice: VoiceChoice
    consent: VoiceConsent | None = None
    created_unix_s: int = 0


@dataclass(frozen=True, slots=True)
class VoiceListing:
    """All voices, the languages that one can be cloned for (ISO 639-1), and why none can, where none can."""

    voices: tuple[StoredVoice, ...]
    cloning_languages: tuple[str, ...] = ()
    unavailable_reason: str = ""


class VoiceStore(Protocol):
    """Lists, adds and deletes voices. Every method raises `AnchorError`."""

    async def list_voices(self) -> VoiceListing:
        """All voices, as of now."""
        ...

    async def add_voice(
        self, name: str, reference_wav: bytes, transcript: str, language: str, consent: VoiceConsent
    ) -> StoredVoice:
        """Clone a voice from a WAV recording, its transcript, and its language (ISO 639-1)."""
        ...

    async def delete_voice(self, voice_id: str) -> None:
        """Delete a cloned voice with its consent. Raises `NotFound`."""
        ...
