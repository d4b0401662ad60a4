"""The rows that a config will train: decoded, and drawn on a terminal or a page."""
