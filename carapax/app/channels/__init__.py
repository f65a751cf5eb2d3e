"""Messengers in the running gateway: who is connected, what comes in, what goes out."""
