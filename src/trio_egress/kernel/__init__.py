"""Linux, one facility a file: the plan is data before it is system calls."""
