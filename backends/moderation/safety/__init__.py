"""From the safety-detector's candidates to labelled boxes."""
