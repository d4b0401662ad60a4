"""Training corpora: read and written block by block, and searched for benchmark items."""
