"""What the walls cost, and whether they hold while they are measured."""
