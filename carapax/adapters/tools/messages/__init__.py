"""Tools that reach people through messengers."""
