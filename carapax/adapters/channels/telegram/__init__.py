"""Telegram: the Bot API, by long polling or by its webhook.

Layer: adapters/channels. `wire` is pure, `adapter` speaks. Source: core.telegram.org/bots/api.
"""
