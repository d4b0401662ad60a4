"""Why context helps: the paper's synthetic in-context-learning experiments (arXiv 2503.09032).

    presets.py     every number of an experiment, checked
    tasks.py       functions, sequences, least squares
    model.py       GPT-2 over real vectors; excess loss and gradient inner product
    training.py    one trial with its checkpoint: stage 1 of a seed, or one arm of stage 2
    experiment.py  all trials in worker processes; curves.csv and summary.json
    plots.py       the figures, the published curves laid over them where sizes match

Needs PyTorch and transformers, nothing of Axolotl.
"""
