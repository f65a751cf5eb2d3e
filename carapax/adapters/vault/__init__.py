"""Where secrets and keys rest: adapters of ports/vault."""
