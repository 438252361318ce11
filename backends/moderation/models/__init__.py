"""Networks: what they are (manifest), where they come from (sources), what is done to their graphs, where they lie."""
