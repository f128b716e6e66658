"""The `anchor` command: start the mesh, talk to it, look after its models."""
