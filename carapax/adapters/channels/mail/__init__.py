"""E-mail: one mailbox, read over IMAP (IDLE) and answered over SMTP."""
