"""What the service says of itself: which metrics there are, what one decision adds to them, drift, cost and logs."""
