"""Starting, supervising and stopping the mesh on one machine."""
