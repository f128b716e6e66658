"""Language models: adapters to model servers, the briefing, and the fallback between them."""
