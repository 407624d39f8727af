"""The demo's upstreams: an HTTP and an HTTPS server on the host's loopback, with a certificate of their own.

They note what reaches them, and so are a witness that knows nothing of receipts. They run in threads: the supervisor
is another process.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from trio_egress.values import frozen

API = "api.example.com"
POLL_SECONDS = 0.02
"""How often a server looks whether it is to end."""

IDLE_SECONDS = 5.0


@frozen
class Upstreams:
    """Two servers that run, the certificate that the HTTPS one shows, and the requests that reached them."""

    http_port: int
    https_port: int
    certificate: str
    reached: list[str]


@contextmanager
def open_upstreams(scratch: Path) -> Iterator[Upstreams]:
    """Serve until the body ends. `scratch` holds the TLS key meanwhile: `ssl` takes it from files only."""
    certificate = _make_certificate(scratch / "tls.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(scratch / "tls.pem")
    reached: list[str] = []
    with ExitStack() as stack:
        http = stack.enter_context(_serve(reached, None))
        https = stack.enter_context(_serve(reached, context))
        yield Upstreams(http, https, certificate, reached)


@contextmanager
def _serve(reached: list[str], context: ssl.SSLContext | None) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        timeout = IDLE_SECONDS

        def do_GET(self) -> None:
            reached.append(f"{self.command} {self.headers['Host']}{self.path}")
            body = b"hello from the demo's upstream\n"
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # only the policy keeps a POST away

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            # The handshake belongs into the connection's own thread, not into accept.
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,), daemon=True)
        try:
            thread.start()
            yield server.server_port
        finally:
            if thread.is_alive():
                server.shutdown()
                thread.join()


def _make_certificate(path: Path) -> str:
    """Write a key and a self-signed certificate for API to `path`; returns the certificate alone, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "trio-egress demo")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(API)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    path.touch(mode=0o600)
    path.write_bytes(
        pem
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return pem.decode("ascii")
