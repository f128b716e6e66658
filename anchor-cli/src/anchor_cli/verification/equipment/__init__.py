"""What the steps measure: the card, and the servers on it."""
