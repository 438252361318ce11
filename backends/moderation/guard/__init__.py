"""One door for the entry model: who is it, may they, within quota, which profile; and afterwards the record of it."""
