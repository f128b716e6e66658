"""The briefing: a responder without a language model that speaks the best passage of the knowledge folder."""
