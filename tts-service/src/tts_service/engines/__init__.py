"""The registry of engines: name to factory. Each factory takes the service's settings and returns a `TtsEngine`."""

ENGINES = {
    "csm": "tts_service.engines.csm.engine:csm_engine",
    "espeak": "tts_service.engines.espeak.engine:espeak_engine",
    "hibari": "tts_service.engines.hibari.engine:hibari_engine",
    "higgs": "tts_service.engines.higgs.engine:higgs_engine",
    "kokoro": "tts_service.engines.kokoro.engine:kokoro_engine",
    "piper": "tts_service.engines.piper.engine:piper_engine",
    "pocket-tts": "tts_service.engines.pocket_tts.engine:pocket_tts_engine",
    "scripted": "tts_service.engines.scripted:scripted_engine",
}
