"""A tiny Llama, a small corpus and test items, all made here, and what is shown with them."""
