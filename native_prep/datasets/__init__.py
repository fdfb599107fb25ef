"""NTU RGB+D, Kinetics-skeleton and NW-UCLA: classes, splits, names of files, where recordings lie."""
