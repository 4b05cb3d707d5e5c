"""Base models: where they come from, adapters, 4-bit and int8 weights, what fits a machine.

May import errors, paths, files, tasks, run and data; knows nothing of prompts, tags or training.
"""
