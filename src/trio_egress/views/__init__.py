"""What a packet shows to whom: another program's format, a terminal, another packet beside it. Proves nothing."""
