"""The schema's migrations, which the store runs when it opens a database."""
