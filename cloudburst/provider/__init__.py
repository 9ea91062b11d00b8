"""Where instances come from: this machine, an admin's own program, Amazon EC2."""
