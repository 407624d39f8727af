"""`trio-egress policy`: what a policy says, does and should say. One module for each action, imported when it is given."""
