"""Public workload logs as values: Standard Workload Format, and the Gavel traces."""
