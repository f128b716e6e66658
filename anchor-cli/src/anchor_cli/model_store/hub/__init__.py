"""Models of kind `hub`: what a hub says of a repository, and how its files are fetched and pinned."""
