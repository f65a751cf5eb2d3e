"""Discord: a bot over the gateway and the REST API, version 10."""
