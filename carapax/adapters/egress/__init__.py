"""The ways out: adapters of ports/egress."""
