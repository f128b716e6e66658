"""From a prompt to speech at the client: generation, synthesis, playout."""
