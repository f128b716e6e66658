"""Runs a small language model on llama.cpp's own HTTP server, on this machine's loopback only.

The process loads the model file, verified by the hash in `models.lock`, and serves `/v1/chat/completions`, `/health`
and `/slots`. When the model or the runtime is missing or damaged, it says why in its log and on `/health`, and stays
up.
"""
