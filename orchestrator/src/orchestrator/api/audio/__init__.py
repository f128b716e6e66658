"""Client audio to PCM: decoding uploads, resampling microphones."""
