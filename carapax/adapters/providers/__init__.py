"""Language models: adapters of ports/provider, and the catalogue of the services among them."""
