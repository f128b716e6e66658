"""Test support shared by all services: fixtures, a virtual clock, a stub of Ollama."""
