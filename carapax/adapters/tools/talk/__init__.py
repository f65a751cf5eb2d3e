"""The agent's own functions towards its person: the time, a question, what changed."""
