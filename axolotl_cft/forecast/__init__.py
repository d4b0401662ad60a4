"""What a training, or a whole study, will need: tokens, steps, disk and GPU-hours, from a sample.

draws       some documents that stand for all
rows        the rows that training would make of them, by the functions that make them
totals      from the rows of some to those of all, with an interval
compute     parameters, floating-point operations, GPUs
training    all of it for one config
arms        and for each arm of a study
"""
