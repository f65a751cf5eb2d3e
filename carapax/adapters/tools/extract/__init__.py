"""One value out of an untrusted file, read by a model in quarantine, without the file's words reaching the conversation."""
