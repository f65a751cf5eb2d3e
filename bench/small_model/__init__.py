"""How well a model acts on everyday requests: requests with a starting workspace and a check of what is true at the end."""
