"""Policy: a signed document becomes checked rules, and rules answer questions. Total, default deny. Pure."""
