"""What is counted and measured for whoever watches the bridge: names, counters, and the page of GET /metrics."""
