"""Networks in INT8: ranges that were measured once are data beside a manifest, every build puts them into the graph."""
