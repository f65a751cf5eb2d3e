"""Turns and approvals as transition tables, and the arithmetic of budgets. Pure."""
