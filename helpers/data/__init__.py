"""Rows: what a source holds, how it is split, what is made of it. Imports tasks and what is below them."""
