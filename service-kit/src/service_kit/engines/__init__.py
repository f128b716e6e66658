"""What every engine needs: its identity, a worker thread, its memory, its model files."""
