"""Worker process that synthesises speech with eSpeak NG and communicates over a pipe."""
