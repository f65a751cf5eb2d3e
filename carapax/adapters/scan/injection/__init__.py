"""A hint how much a text looks like instructions to a model: a small linear model with weights of our own."""
