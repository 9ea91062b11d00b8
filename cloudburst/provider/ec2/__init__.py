"""Amazon EC2: launch templates, instant fleets, prices, and what an instance does when it boots."""
