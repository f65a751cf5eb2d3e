"""The egress proxy's process: parses each request, asks the gateway, dials, and alone holds secrets.

Layer: adapters/egress. Absent: the gateway's side (`adapters/egress/keeper`) and the rules (`core/policy`).
"""
