"""Language models on an Ollama server: requests, loading and pulling."""
