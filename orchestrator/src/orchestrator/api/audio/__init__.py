"""Conversion of client audio to PCM16 mono 16 kHz: upload decoding and microphone resampling."""
