"""The engine `espeak`: eSpeak NG in a worker process."""
