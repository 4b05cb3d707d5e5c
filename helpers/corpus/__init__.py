"""Synthetic pre-training text: what the embedded language model reads before it ever sees a task."""
