"""XMPP: an account on a server, over direct TLS, with rooms."""
