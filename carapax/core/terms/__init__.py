"""The nouns of Carapax, frozen. Every other room imports these; they import nothing of ours.

One module per family: ids, label, principal, action, authority, decision, approval, limit,
conversation, event, check, error; `plain` renders them. Import from the module, not from here.
"""
