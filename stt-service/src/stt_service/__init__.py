"""Speech to text: partial and final transcripts of a microphone stream."""
