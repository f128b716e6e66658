"""How many frames of a microphone travel to voice activity in one message.

A message costs the same whatever its length, half a millisecond of processor time: it wakes threads of two processes.
So frames wait for each other where nothing depends on them, and leave at once where speech may begin or end.
"""

from __future__ import annotations

from service_kit.audio import AudioChunk

# Loudness is the range of every third sample, in 16-bit steps, since numpy takes several times as long to be called.
_STEP = 3
# A chunk is sound when it is so much louder than the noise floor: 10 dB. The floor is never below that of a good
# microphone in a silent room, about -76 dBFS, and rises by 0.1 dB with a chunk.
_ABOVE_FLOOR = 3.2
_MIN_FLOOR = 25.0
_FLOOR_RISE = 1.012
# After the last sound no turn-end prediction is due any more.
_QUIET_AFTER_MS = 1_500
# In sound that follows such a quiet, the beginning of speech is looked for in each frame for so long.
_ONSET_MS = 250
_SPEECH_FRAMES, _SOUND_FRAMES = 1, 2
# Shorter than the interval of the service's reports, which are missed when they do not come.
_QUIET_FRAMES = 10


class AudioBatching:
    """Decides on the frames of one message for one microphone. Pure: audio in, a number out."""

    def __init__(self) -> None:
        self._floor = _MIN_FLOOR
        # The start of the sound after the last quiet, and the end of the last sound; on the audio clock.
        self._sound_since_ms = 0
        self._sound_until_ms = 0

    def frames_per_message(self, chunk: AudioChunk, *, user_speaking: bool) -> int:
        """How many whole frames make a message, once `chunk` has arrived."""
        if self._is_sound(chunk) or user_speaking:
            if chunk.start_ms - self._sound_until_ms >= _QUIET_AFTER_MS:
                self._sound_since_ms = chunk.start_ms
            self._sound_until_ms = chunk.end_ms
        if user_speaking:
            # The end of speech is detected early.
            return _SPEECH_FRAMES
        if chunk.end_ms - self._sound_until_ms >= _QUIET_AFTER_MS:
            return _QUIET_FRAMES
        # Pre-roll makes up for the delay of two frames.
        return _SPEECH_FRAMES if chunk.end_ms - self._sound_since_ms < _ONSET_MS else _SOUND_FRAMES

    def _is_sound(self, chunk: AudioChunk) -> bool:
        samples = memoryview(chunk.pcm).cast("h")[::_STEP]
        loudness = max(samples) - min(samples)
        self._floor = max(_MIN_FLOOR, min(loudness, self._floor * _FLOOR_RISE))
        return loudness >= _ABOVE_FLOOR * self._floor
