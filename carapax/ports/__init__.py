"""Protocols of everything outside the core. One module per port; adapters implement, `app` connects."""
