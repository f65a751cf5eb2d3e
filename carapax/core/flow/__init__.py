"""The order on labels: join, may_flow, endorse, declassify; and the origin of arguments. Pure."""
