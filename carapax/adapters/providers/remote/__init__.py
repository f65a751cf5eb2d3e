"""Models reached over the network, on the OpenAI or the Anthropic wire."""
