"""Those who judge whether a pause ends the turn, from how it was said and from what was said."""
