"""One package per outside thing, one family per port. Families are strangers; only `app` names them."""
