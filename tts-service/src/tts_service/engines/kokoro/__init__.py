"""The engine `kokoro`: Kokoro-82M in a worker process, with phonemes of eSpeak NG's worker."""
