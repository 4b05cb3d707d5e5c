"""Models that mark words: tags, features, the model, its predictions. Imports data and models."""
