"""A file of roots is certificates, spelt in one way and found by all who look, or a ValueError."""

from __future__ import annotations

import ssl

from driver import CORPUS, fuzz, instrumented

with instrumented():
    from trio_egress.kernel.trust import CERTIFICATE
    from trio_egress.policy.roots import read_roots
    from trio_egress.proxy.certificates import hash_name, render_java_store, split_certificates

OWN = (CORPUS / "roots/file").read_text()
"""A sound one, as every run adds."""


def check(raw: bytes) -> None:
    """What begins with `-` is a file; anything else a certificate of one, beneath its base64."""
    text = raw if raw.startswith(b"-") else ssl.DER_cert_to_PEM_cert(raw).encode()
    render_java_store(OWN + "".join(CERTIFICATE.findall(text.decode("latin-1"))))
    try:
        pem = read_roots(text, "root.pem")
    except ValueError:
        return
    assert read_roots(pem.encode(), "root.pem") == pem
    found = CERTIFICATE.findall(pem)
    assert "".join(f"{one}\n" for one in found) == pem
    assert found
    try:
        certificates = list(split_certificates(pem))
        hashes = [hash_name(certificate.subject) for _, certificate in certificates]
    except ValueError:
        return
    assert "".join(one for one, _ in certificates) == pem
    assert all(len(name_hash) == 8 for name_hash in hashes)


if __name__ == "__main__":
    fuzz(check, "roots")
