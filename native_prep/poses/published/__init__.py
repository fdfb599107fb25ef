"""Published data sets whose files `prep custom` does not read by itself: their clips, labels and splits."""
