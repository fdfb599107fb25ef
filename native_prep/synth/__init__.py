"""Made recordings in the exact formats of the data sets."""
