"""Files that appear whole or not at all, arrays, pickles without code, YAML, locks, progress."""
