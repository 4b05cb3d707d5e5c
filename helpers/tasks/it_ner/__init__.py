"""IT-domain entities: a tag for each token."""
