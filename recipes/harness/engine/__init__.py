"""What trains cells: the plan, the workers, the pairing, the cost."""
