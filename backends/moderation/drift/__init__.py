"""Whether pictures, scores and decisions are still what they were: a captured reference, and the present against it."""
