"""APIs of one request and one response, and the console's files."""
