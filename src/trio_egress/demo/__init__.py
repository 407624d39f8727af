"""The demo: two upstreams, an agent, a policy, and what each of the agent's attempts must come to.

Nothing here builds a sandbox or decides anything: `cli/demo.py` gives it all to `trio-egress run`.
"""
