"""Run an untrusted agent in a sandbox whose only way out is a policy proxy that signs what it saw.

Public names are looked up on first use, so that importing one part (the verifier, say) never loads another
(trio, sockets, TLS).
"""

TYPE_CHECKING = False  # as `typing` has it, which the launcher would have to load for this line
if TYPE_CHECKING:
    from trio_egress.verification import verify

__version__ = "0.1.0"

__all__ = ["__version__", "verify"]


def __getattr__(name: str) -> object:
    if name == "verify":
        from trio_egress.verification import verify

        return verify
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
