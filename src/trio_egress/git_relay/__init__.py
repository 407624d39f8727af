"""A process of its own that ends SSH for git: the agent's client on one side, the server outside on the other."""
