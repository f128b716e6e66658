"""Speech to text: partial and final transcripts."""
