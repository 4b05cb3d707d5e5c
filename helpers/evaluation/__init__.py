"""How good systems are: scores of a run's variants, sweeps over settings and seeds, a benchmark of speed.

May import errors, paths, files, tasks, run, data, models, writing, tagging and training.
"""
