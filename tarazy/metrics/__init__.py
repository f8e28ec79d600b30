"""Prometheus series of one process: what the other rooms count, named and labelled for dashboards."""
