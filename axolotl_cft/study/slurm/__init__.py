"""A study on a cluster: Slurm schedules its steps, and nothing of ours stays behind to watch.

    slurm.yml ──► options.py ─┐
    StudyPlan ──► jobs.py ────┤  which steps lack a job, and what each waits for
                              ▼
       script.py: one readable sbatch script a step ──► submission.py: lock, record, order
                                                              │
                    client.py: sbatch, squeue, scancel ───────┤
                    status.py: marks + queue → table ─────────┘

A job runs `axolotl-cft study … --step PATH` and nothing else. What is done is known from the
steps' own marks: Slurm forgets a job five minutes after its end. `options`, `jobs` and `script`
are pure.
"""
