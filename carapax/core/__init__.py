"""The pure centre: terms, flow, policy, turn, ledger. Nothing here touches the world."""
