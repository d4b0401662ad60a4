"""From lm-eval's output folders to a report that you can trust.

    sources.py     what there is: folders or a study          ┐
    results.py     one lm-eval folder -> Evaluation           ├─ compare() -> Report
    cost.py        ledger, trainer state, log -> TrainingCost ┘  (comparison.py)
    statistics.py  paired bootstrap, McNemar, Holm
    caveats.py     constant answers, unread answers, unlike conditions
    markdown.py, figures.py   Report -> text, PNG
    paper.json     the paper's own numbers

Nothing here imports lm-eval, torch or axolotl; matplotlib only while a figure is drawn.
"""
