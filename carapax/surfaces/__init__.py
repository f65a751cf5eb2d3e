"""Where people and programs meet the gateway: `api` (HTTP) and `cli` (terminal). Strangers to each other."""
