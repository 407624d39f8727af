"""What the wire says, sans-IO: bytes in, values or PeerError out."""
