"""Several arms, seeds and stages trained and evaluated by the host's own commands.

    study file ──► spec.py ──► plan.py: runs, and steps with complete configs and commands
                                  │
           preflight.py: before ──┤  unknown keys and tasks, equal arms, one targets digest
                                  ▼
    runner.py: one step after another ──► processes.py: lock, orphans, children, signals
                                  │
             outcome.py: after ───┤  is the output whole, and is it a number?
             records.py ──────────┘  marks of finished steps, journal, study.json

`spec` and `plan` are pure: the same file gives the same steps, and nothing is written.
"""
