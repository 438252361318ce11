"""What the chart's containers run beside the server: probes, the drain before a stop, the analysis after an upgrade."""
