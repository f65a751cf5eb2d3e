"""Real mail servers on loopback: Postfix takes mail and delivers it into Maildirs, Dovecot serves them over IMAP.

Both get configurations of their own in a temporary folder, and are ended by their process ids. Nothing is relayed: every
domain but example.test is an error, and no name is ever looked up.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
import time
from pathlib import Path

DOVECOT = "/usr/sbin/dovecot"
MASTER = "/usr/lib/postfix/sbin/master"
DOMAIN = "example.test"
AGENT = f"agent@{DOMAIN}"
USERS = ("agent", "alice", "bob", "mallory")
START_S = 20.0
QUEUE_FOLDERS = (
    *("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming"),
    *("private", "saved", "trace", "maildrop", "public"),
)

_DOVECOT_CONF = """
protocols = imap
base_dir = {root}/dovecot/run
state_dir = {root}/dovecot/state
log_path = {root}/dovecot/log
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
auth_failure_delay = 0
auth_cache_size = 0
mail_location = maildir:{root}/mail/%n
mail_max_userip_connections = 100
maildir_very_dirty_syncs = no
first_valid_uid = 1
mailbox_idle_check_interval = 1 secs
namespace inbox {{
  inbox = yes
}}
passdb {{
  driver = passwd-file
  args = scheme=plain {root}/users
}}
userdb {{
  driver = static
  args = uid=postfix gid=postfix home={root}/mail/%n
}}
service imap-login {{
  chroot =
  process_min_avail = 1
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  unix_listener {root}/auth {{
    mode = 0666
  }}
}}
"""

_POSTFIX_MAIN = """
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.example.test
myorigin = example.test
mydestination =
mynetworks_style = host
disable_dns_lookups = yes
smtpd_peername_lookup = no
smtputf8_enable = no
virtual_mailbox_domains = example.test
virtual_mailbox_base = {root}/mail
virtual_mailbox_maps = texthash:{root}/boxes
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
virtual_mailbox_limit = 0
message_size_limit = 67108864
default_transport = error:nothing leaves this machine
relay_transport = error:nothing leaves this machine
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {root}/auth
smtpd_recipient_restrictions = reject_unauth_destination
smtpd_relay_restrictions = reject_unauth_destination
smtpd_client_restrictions =
smtpd_delay_reject = no
smtpd_error_sleep_time = 0
maillog_file =
syslog_name = carapax-test
"""

_POSTFIX_MASTER = """
127.0.0.1:{smtp_port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 discard
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
"""


def why_missing() -> str:
    """Why these servers cannot run here; "" when they can."""
    if not Path(DOVECOT).exists() or not Path(MASTER).exists():
        return "Dovecot and Postfix are not installed"
    return "" if os.geteuid() == 0 else "Postfix's master starts as root only"


class MailServers:
    """Both servers. `start` and `stop` block; call them from a thread or before the loop."""

    def __init__(self) -> None:
        self.imap_port = 0
        self.smtp_port = 0
        self.password = "an invented mailbox password"
        self._root = Path()
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="carapax-mail-", dir="/tmp"))
        self._root.chmod(0o755)
        self._write()
        self.start_dovecot()
        self._running.append(self._spawn([MASTER, "-c", str(self._root / "postfix"), "-d"]))
        _until_open(self.smtp_port)

    def stop(self) -> None:
        for process in reversed(self._running):
            _end(process)
        self._running.clear()
        shutil.rmtree(self._root, ignore_errors=True)

    def start_dovecot(self) -> None:
        conf = self._root / "dovecot" / "dovecot.conf"
        self._running.insert(0, self._spawn([DOVECOT, "-F", "-c", str(conf)]))
        _until_open(self.imap_port)

    def stop_dovecot(self) -> None:
        _end(self._running.pop(0))

    def set_password(self, password: str) -> None:
        """From now on only this one signs in."""
        lines = [f"{name}@{DOMAIN}:{{plain}}{password}\n" for name in USERS]
        (self._root / "users").write_text("".join(lines))

    def box(self, user: str) -> Path:
        return self._root / "mail" / user

    def renumber(self, user: str) -> None:
        """Take away the index: the folder gets another UIDVALIDITY, which Dovecot makes of the second."""
        for path in self.box(user).glob("dovecot*"):
            path.unlink()

    def deliver(self, raw: bytes, *, sender: str, to: str = AGENT) -> None:
        """Hand a mail to Postfix, as another server does."""
        with smtplib.SMTP("127.0.0.1", self.smtp_port, local_hostname="localhost", timeout=20) as client:
            client.sendmail(sender, [to], raw)

    def deliver_and_wait(self, raw: bytes, *, sender: str) -> None:
        """The same, and wait until it is in the agent's box."""
        before = self.count("agent")
        self.deliver(raw, sender=sender)
        until = time.monotonic() + START_S
        while self.count("agent") <= before:
            if time.monotonic() > until:
                raise TimeoutError("Postfix did not deliver the mail.")
            time.sleep(0.005)

    def copy_newest(self, user: str) -> None:
        """The newest mail of a box once more, byte for byte, as after a restored backup."""
        content = self.mails_of(user)[-1]
        waiting = self.box(user) / "tmp" / f"{time.time_ns()}.copy.localhost"
        waiting.write_bytes(content)
        shutil.chown(waiting, "postfix", "postfix")
        waiting.rename(self.box(user) / "new" / waiting.name)

    def count(self, user: str) -> int:
        return sum(len(os.listdir(self.box(user) / folder)) for folder in ("new", "cur"))

    def mails_of(self, user: str) -> list[bytes]:
        """What was delivered to somebody, oldest first."""
        found = [path for folder in ("new", "cur") for path in (self.box(user) / folder).glob("*")]
        return [path.read_bytes() for path in sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name))]

    def _write(self) -> None:
        root = self._root
        owner = pwd.getpwnam("postfix")
        self.imap_port, self.smtp_port = _free_ports()
        given = {
            "root": root,
            "uid": owner.pw_uid,
            "gid": owner.pw_gid,
            "imap_port": self.imap_port,
            "smtp_port": self.smtp_port,
        }
        for folder in ("dovecot/run", "dovecot/state", "postfix", "queue", "data", "mail"):
            (root / folder).mkdir(parents=True)
        (root / "dovecot" / "dovecot.conf").write_text(_DOVECOT_CONF.format(**given))
        (root / "postfix" / "main.cf").write_text(_POSTFIX_MAIN.format(**given))
        (root / "postfix" / "master.cf").write_text(_POSTFIX_MASTER.format(**given))
        (root / "boxes").write_text("".join(f"{name}@{DOMAIN} {name}/\n" for name in USERS))
        self.set_password(self.password)
        self._own_queue()

    def _own_queue(self) -> None:
        for folder in QUEUE_FOLDERS:
            (self._root / "queue" / folder).mkdir(mode=0o700)
            shutil.chown(
                self._root / "queue" / folder, "postfix", "postdrop" if folder in ("public", "maildrop") else -1
            )
        (self._root / "queue" / "pid").mkdir(mode=0o755)
        for name in USERS:
            for folder in ("", "new", "cur", "tmp"):
                (self.box(name) / folder).mkdir(exist_ok=True)
                shutil.chown(self.box(name) / folder, "postfix", "postfix")
        shutil.chown(self._root / "mail", "postfix", "postfix")
        shutil.chown(self._root / "data", "postfix", "postfix")

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self._root / "servers.log").open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server and its children: they are a session of their own."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


def _until_open(port: int) -> None:
    until = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
