"""Reports from agents to the controller: wire form, keys, sockets, the board."""
