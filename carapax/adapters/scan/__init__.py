"""What looks into text: `outgoing` finds what must not leave, `injection` hints at instructions to a model.

Layer: adapters/scan; `adapter` joins both behind the Scanner port. Absent: any decision; the guard decides.
"""
