"""The composition root: reads settings, builds everything, supervises tasks. The only room that names adapters."""
