"""From raw recordings to written arrays or a packed store: `prepare` is the way in."""
