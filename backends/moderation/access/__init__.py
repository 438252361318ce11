"""Who calls: signed tokens to principals, and the key that tells the pipeline's own calls from everybody else's."""
