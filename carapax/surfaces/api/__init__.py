"""The HTTP surface: OpenAI's routes, our own, a small page. `build.build_api` makes the application."""
