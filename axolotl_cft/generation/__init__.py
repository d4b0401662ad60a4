"""Contextual prompts and educational texts written by an LLM, durably.

    rows.py  rows in ─▶ instructions.py  the request ─▶ client.py  the endpoint
                                                              │ Reply
    rows.py  rows out ◀─ journal.py  fsync'd answers ◀─ checks.py  usable? (else asked again)

`asking.py` drives that circle at a bounded concurrency, `prompting.py` makes its jobs, and
`outcome.py` ends a run. `cutting.py` finds sentence ends, `axolotl_cft.tokens` counts; `items.py`
and `chat_rows.py` are what `educate` has beyond `generate`. Pure: checks, cutting, instructions,
prompting, items, chat_rows. Nothing here imports torch; `datasets`, `transformers` and `openai` are
imported only when a run needs them.
"""
