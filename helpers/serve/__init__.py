"""Answers for others: service, batching, one predictor for all systems. Imports export."""
