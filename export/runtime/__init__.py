"""An exported folder at work: opening it, predicting, scoring packed stores."""
