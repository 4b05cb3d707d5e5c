"""Training: writers and taggers by transformers' Trainer, their losses, fit with resume, several processes.

May import all up to writing and tagging; knows nothing of evaluation or views.
"""
