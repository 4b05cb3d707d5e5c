"""Calendar events: a line of text becomes one JSON object."""
