"""A signed webhook: any program that can sign a request is a messenger.

Layer: adapters/channels. `wire` is pure, `adapter` speaks. Source: the Standard Webhooks specification, 1.0.0.
"""
