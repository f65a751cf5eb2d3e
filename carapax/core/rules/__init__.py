"""The rules of information flow: what may happen after untrusted text was read. Pure, deterministic, total."""
