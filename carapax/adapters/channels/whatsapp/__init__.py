"""WhatsApp: a business number on Meta's Cloud API.

Layer: adapters/channels. `wire` is pure, `adapter` speaks. Source: developers.facebook.com/docs/whatsapp/cloud-api.
"""
