"""English words of `carapax vault`."""

from __future__ import annotations

VAULT_EN = {
    "help.vault": "keep secrets sealed, and say where each may be used",
    "about.vault": "A secret is sealed here and joined to a request at the last moment, and only where it is bound. Neither "
    "the agent nor its tools ever see it. Values come from a hidden prompt or from standard input, never from an argument.",
    "examples.vault": """examples:
  carapax vault set github --bind api.github.com     asks for the value
  carapax vault set svc --bind api.example.org --header x-api-key < key.txt
  carapax vault list                     names, where each may be used, when it was used last
  carapax vault bind github github.com --prefix "token "
  carapax vault rotate github            the value before is kept until --confirm
  carapax vault import .env              move the values of a file in, and leave their names
  carapax vault protect --passphrase     nobody opens it without you
  carapax vault audit github             every request it went out with""",
    "help.vault.set": "keep a secret, or replace one",
    "help.vault.list": "names, places, age and last use; never a value",
    "help.vault.rotate": "a new value; the one before is kept until it is confirmed",
    "help.vault.bind": "let a secret be used at these hosts too",
    "help.vault.unbind": "take a host away from a secret, or all of them",
    "help.vault.remove": "forget a secret and where it was bound",
    "help.vault.import": "move the values of a .env file into the vault",
    "help.vault.protect": "choose what opens the vault, and give it a new key",
    "help.vault.unlock": "give the running vault its passphrase",
    "help.vault.audit": "what the ledger says of a secret",
    "opt.vault_name": "the secret's name: a-z, 0-9, '.', '_' and '-'",
    "opt.vault_oauth": "a token that is renewed; JSON on standard input (docs/formats/vault.md)",
    "opt.vault_remote": "it stays in HashiCorp Vault or OpenBao, at PATH or PATH#FIELD",
    "opt.vault_bind": "let it be used at HOST or HOST:PORT; may be given again",
    "opt.vault_place": "HOST or HOST:PORT, exact",
    "opt.vault_host": "this host alone",
    "opt.vault_header": "the header it is sent in (authorization)",
    "opt.vault_prefix": "what stands before it there ('Bearer ' in authorization, else nothing)",
    "opt.vault_path": "only below this path",
    "opt.vault_method": "only with this method; may be given again",
    "opt.vault_body": "it may also stand in the body of a request",
    "opt.vault_confirm": "the new value works: forget the one before",
    "opt.vault_back": "it does not: go back to the one before",
    "opt.vault_file": "a file with lines NAME=value",
    "opt.vault_keep": "leave this variable in the file; may be given again",
    "opt.vault_delete": "remove the lines instead of leaving vault:NAME in them",
    "opt.vault_passphrase": "a passphrase, asked for at each start (`carapax vault unlock`)",
    "opt.vault_systemd": "a key that systemd seals to this machine and its TPM",
    "opt.vault_machine": "a key file beside it, readable by its owner only",
    "vault.passphrase": "the vault's passphrase (not shown):",
    "vault.new_passphrase": "new passphrase (not shown):",
    "vault.again": "once more:",
    "vault.differs": "They differ; nothing was changed.",
    "vault.value": "the value of {name} (not shown):",
    "vault.oauth_how": "Paste the JSON (endpoint, client_id, client_secret, refresh_token), then Ctrl-D.",
    "vault.kept": "{name} is sealed.",
    "vault.replaced": "{name} is sealed anew.",
    "vault.bind_how": "It is used nowhere yet: carapax vault bind {name} HOST",
    "vault.none": "The vault is empty. `carapax vault set NAME` keeps a secret.",
    "vault.age": "set {age}",
    "vault.used": "used {when}",
    "vault.never": "never",
    "vault.today": "today",
    "vault.days": "{days} d ago",
    "vault.unbound": "bound nowhere, so used nowhere",
    "vault.waiting": "The value before is kept. End it with carapax vault rotate {name} --confirm, or --back.",
    "vault.locked": "Locked: this list is not checked, and no secret is used. `carapax vault unlock`",
    "vault.source.machine": "Its key is a file on the same disk: whoever copies the disk has both. "
    "Better: carapax vault protect --systemd, or --passphrase.",
    "vault.source.systemd": "Its key is sealed by systemd to this machine.",
    "vault.source.passphrase": "Its key is your passphrase; after a start: carapax vault unlock.",
    "vault.confirmed": "The value before {name}'s present one is forgotten.",
    "vault.back": "{name} has the value again that it had before.",
    "vault.rotated": "{name} has a new value.",
    "vault.bound": "{name} may be used at:",
    "vault.unbound_from": "{name}: {count} bindings taken away.",
    "vault.sure": "Forget {name} for good?",
    "vault.removed": "{name} is forgotten.",
    "vault.imported": "{count} values moved out of {file}; its old bytes are overwritten.",
    "vault.stayed": "As they were: {names}",
    "vault.import_next": "Bind what is to be used: carapax vault bind NAME HOST. Renew what others may have read.",
    "vault.protected": "The vault has a new key, and every secret is under it.",
    "vault.unlocked": "The running vault is open.",
    "vault.pending": "(soon)",
    "vault.no_trace": "The ledger does not name it.",
    "vault.moved_in": "{count} secrets lay in clear in files; they are sealed now, and the files erased: {names}",
}
