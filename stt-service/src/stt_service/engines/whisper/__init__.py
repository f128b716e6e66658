"""Whisper of any size on CTranslate2, with Moonshine for English partials, in worker processes."""
