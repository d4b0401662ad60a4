"""Several arms, seeds and stages trained and evaluated by the host's own commands.

    study file ──► spec.py ──► plan.py: runs, and steps with complete configs and commands
                                  │
           preflight.py: before ──┤  unknown keys and tasks, equal arms, one targets digest
                                  ▼
    runner.py: one step after another ──► processes.py: children, signals, orphans
                                  │  prepared.py: datasets that all runs share
             outcome.py: after ───┤  is the output whole, and is it a number?
             records.py ──────────┘  marks of finished steps, journal, study.json

`running.py` is what commands call: all steps in turn, one step (as jobs of a cluster do), or chains
side by side (`parallel.py`). `leases.py` sees to it that nobody works on a chain twice at once.
`slurm` has a cluster carry the steps out, and tells, with `progress.py`, what each is doing.

The words of the host's commands are made in `launch.py`, those of lm-eval's in `harness.py`.
`spec` and `plan` are pure: the same file gives the same steps, and nothing is written.
"""
