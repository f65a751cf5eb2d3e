"""A terminal: whoever on this machine may open a socket of the gateway's, known by the kernel's word."""
