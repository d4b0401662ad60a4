"""What CFT does to a text: pure modules; a tokenizer is passed in, and the host never enters."""
