"""Support for engines: description, worker thread, worker process, GPU memory, model files, script."""
