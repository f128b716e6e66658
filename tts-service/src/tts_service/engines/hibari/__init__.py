"""The engine `hibari`: English by hibari-tts in a worker process (docs/adr/0019-voices-by-language.md)."""
