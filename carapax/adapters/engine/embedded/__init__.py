"""The engine of one machine: it keeps its pieces in the gateway's own store and runs them on the gateway's loop."""
