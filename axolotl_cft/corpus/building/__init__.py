"""Corpora built from folders and archives of documents: packed, cleaned, counted, planned."""
