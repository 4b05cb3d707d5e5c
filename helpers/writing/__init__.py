"""Models that write: how they are prompted, what holds them to a grammar, and how they decode.

May import: errors, paths, files, tasks, run, data, models.
"""
