"""Figures, tables and sentences. Imports all that measures."""
