"""Run an untrusted agent in a sandbox whose only way out is a policy proxy that signs what it saw.

Public names are looked up on first use, so that importing one part (the verifier, say) never loads another
(trio, sockets, TLS).
"""

__version__ = "0.1.0"
