"""eSpeak NG, in a process of its own."""
