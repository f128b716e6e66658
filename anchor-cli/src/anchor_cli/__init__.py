"""The `anchor` command: starts the mesh, plays recordings into it, plans GPU memory, manages model files."""
