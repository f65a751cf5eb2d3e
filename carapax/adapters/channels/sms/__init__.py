"""SMS: a phone number at Twilio.

Layer: adapters/channels. `wire` is pure, `adapter` speaks. Source: twilio.com/docs/messaging, twilio.com/docs/usage/security.
"""
