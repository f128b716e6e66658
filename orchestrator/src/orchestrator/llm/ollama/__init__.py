"""Language models on an Ollama server."""
