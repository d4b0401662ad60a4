"""From lm-eval's output folders to a report that you can trust.

    sources.py     what there is: folders or a study            ┐
    results.py     one lm-eval folder -> Evaluation (items.py)  ├─ compare() -> Report
    conditions.py  how it was evaluated                         │
    cost.py        ledger, trainer state, log -> TrainingCost   ┘  (comparison.py)
    groups.py      which tasks are averaged (task_metadata.py: what a task's YAML says of itself)
    agreement.py   whether runs answered the same test
    cleaning.py    runs without contaminated items
    statistics.py  intervals over items and seeds, McNemar, Holm
    foresight.py   what a study will be able to find
    controls.py    whether what nobody can know is at chance
    caveats.py     constant answers, unread answers, unlike conditions
    wording.py, markdown.py, layout.py, figures.py, curves.py, machine_readable.py
                   Report -> sentences, text, PNG, JSON (ranges.py: two ends as one text;
                   palette.py: what all figures share)
    tasks.py       the benchmarks' items, as the evaluation tasks see them
    paper.json     the paper's own numbers

Nothing here imports lm-eval, torch or axolotl; matplotlib only while a figure is drawn.
"""
