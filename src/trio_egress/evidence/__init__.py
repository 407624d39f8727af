"""Receipts, the chain that binds them, and the packet that a reviewer verifies offline.

An island: it imports `trio_egress.errors` and nothing else of the package, so that the signed bytes never
change because a runtime noun did, and a reviewer can run the verifier on a machine that trusts nothing.
"""
