"""Web chat: a page of our own that a person opens in a browser."""
