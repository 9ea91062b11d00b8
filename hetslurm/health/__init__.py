"""From the board to health: rules, hysteresis, baselines, and what pools get of it. Pure."""
