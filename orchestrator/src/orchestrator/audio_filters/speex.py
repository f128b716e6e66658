"""Noise suppression by Speex, which learns what a room's steady noise sounds like and takes it away."""

from __future__ import annotations

from service_kit.audio import MICROPHONE
from service_kit.errors import Unsupported


class SpeexNoiseSuppressor:
    """One microphone's noise suppression. Raises `Unsupported` where its package is not installed."""

    # It works on windows of 20 ms that overlap by half.
    delay_bytes = MICROPHONE.bytes_for(10)

    def __init__(self, suppression_db: int) -> None:
        """`suppression_db` is how much quieter noise gets, at most; above 0."""
        try:
            from pyspeex_noise import AudioProcessor
        except ImportError as error:
            raise Unsupported(
                "orchestrator.no_noise_suppression",
                "noise suppression needs the package pyspeex-noise: install the extra orchestrator[noise-suppression]",
            ) from error
        # Without its gain: the binding hands that over in a form Speex misreads, and everything falls silent.
        self._speex = AudioProcessor(0, -suppression_db)

    def process_frame(self, frame: bytes) -> bytes:
        """10 ms with less noise in it: those before these."""
        return self._speex.process_10ms(frame)
