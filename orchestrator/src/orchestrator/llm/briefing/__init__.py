"""The briefing: a responder that reads out the best passage of the knowledge folder."""
