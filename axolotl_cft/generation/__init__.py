"""Contextual prompts and educational texts written by an LLM, durably.

    corpus    rows in ─▶ instructions.py  the request ─▶ sharing.py ─▶ client.py  an endpoint
                                                               │ Reply
    corpus    rows out ◀─ answers.py  kept in SQLite ◀─ verdicts.py  usable? (else asked again)

`generate.py`, `educate.py` and `active_reading.py` are the three runs. `wanted.py` says which
answers they want and which are there; `workers.py` drives that circle at a bounded concurrency, and
`batch.py` and `batch_answers.py` replace it by files. `earlier_journal.py` takes version 0.1's
answers over.
`conversations.py` says which columns hold conversations, `portions.py` what of a text is asked
about (all of it, or every chunk of training), `prompting.py` makes the jobs, `run.py` holds a run's
options, and `finish.py` ends a run, with `likeness.py`. What endpoints do wrong: `faults.py` names
it, `gate.py` says when the next request may go to one, `sharing.py` sends it again or elsewhere,
and `breaker.py` stops a run whose answers cannot be used. `completions.py` is what goes into a
request and comes out of one; `address.py` and `hiding.py` keep passwords out of sight. A verdict
takes wrappers off an answer (`unwrapping.py`) and tries the checks (`checks.py`, with `phrases.py`
and `language.py`). `sentences.py` finds sentence ends, `host/tokens` counts; `questions.py`,
`guard.py` and `export.py` are what `educate` has beyond `generate`; `strategies.py` reads what
Active Reading's first answers name, and `readings.py` ends its run.
Nothing here imports torch; `transformers` and `openai` are imported only when a run
needs them.
"""
