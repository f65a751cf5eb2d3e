"""Slack: a bot user over Socket Mode or the Events API."""
