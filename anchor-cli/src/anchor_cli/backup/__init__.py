"""`anchor backup` and `anchor restore`: one file with all that cannot be made again."""
