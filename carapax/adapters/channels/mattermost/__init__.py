"""Mattermost: a bot account over its WebSocket and REST API."""
