"""One synthesis stream: phrases in, speech and marks out, supervised."""
