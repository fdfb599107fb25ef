"""HTML pages that work from one file, offline: the base of all, and a player of skeletons."""
