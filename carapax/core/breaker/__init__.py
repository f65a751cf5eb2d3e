"""The breaker: counters over signals, their limits, and when they trip; pure."""
