"""Microsoft Teams: a bot that the Bot Framework calls."""
