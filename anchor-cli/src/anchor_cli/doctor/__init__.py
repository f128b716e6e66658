"""What keeps an anchor from running on this machine, each with its cure."""
