"""What every service of AI Anchor shares."""
