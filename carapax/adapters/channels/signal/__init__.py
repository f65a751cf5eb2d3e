"""Signal, through a signal-cli daemon of the owner's."""
