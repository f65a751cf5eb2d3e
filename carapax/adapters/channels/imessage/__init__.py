"""iMessage, through a BlueBubbles server on a Mac of the owner's."""
