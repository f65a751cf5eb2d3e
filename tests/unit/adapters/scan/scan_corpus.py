"""Texts with planted secrets and texts without: made up from formats by a fixed seed, nothing real."""

from __future__ import annotations

import base64
import codecs
import json
import random
import string
from collections.abc import Callable
from urllib.parse import quote

UPPER, LOWER, DIGITS = string.ascii_uppercase, string.ascii_lowercase, string.digits
ALNUM = UPPER + LOWER + DIGITS
HEX = "0123456789abcdef"
URLSAFE = ALNUM + "-_"


def drawn(rng: random.Random, alphabet: str, size: int) -> str:
    return "".join(rng.choices(alphabet, k=size))


def b64url(rng: random.Random, fields: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps({**fields, "n": rng.random()}).encode()).decode().rstrip("=")


MAKERS: dict[str, Callable[[random.Random], str]] = {
    "aws-access-key": lambda r: "AK" + "IA" + drawn(r, UPPER + "234567", 16),
    "aws-secret-key": lambda r: f"aws_secret_access_key = {drawn(r, ALNUM + '/+', 40)}",
    "google-api-key": lambda r: "AI" + "za" + drawn(r, URLSAFE, 35),
    "google-oauth-secret": lambda r: "GOC" + "SPX-" + drawn(r, URLSAFE, 28),
    "google-oauth-token": lambda r: "ya2" + "9." + drawn(r, URLSAFE, 60),
    "azure-storage-key": lambda r: f"AccountName=shop;AccountKey={drawn(r, ALNUM + '/+', 86)}==;",
    "azure-client-secret": lambda r: drawn(r, ALNUM, 3) + "8Q" + "~" + drawn(r, ALNUM + "_~.-", 34),
    "github-token": lambda r: "gh" + "p_" + drawn(r, ALNUM, 36),
    "github-fine-token": lambda r: "github" + "_pat_" + drawn(r, ALNUM, 22) + "_" + drawn(r, ALNUM, 59),
    "gitlab-token": lambda r: "glp" + "at-" + drawn(r, URLSAFE, 20),
    "slack-token": lambda r: "xo" + f"xb-{drawn(r, DIGITS, 12)}-{drawn(r, DIGITS, 12)}-{drawn(r, ALNUM, 24)}",
    "slack-webhook": lambda r: (
        "https://hooks.sl" + f"ack.com/services/T{drawn(r, UPPER, 8)}/B{drawn(r, UPPER, 8)}/{drawn(r, ALNUM, 24)}"
    ),
    "stripe-key": lambda r: "sk" + "_live_" + drawn(r, ALNUM, 24),
    "stripe-webhook": lambda r: "whs" + "ec_" + drawn(r, ALNUM, 32),
    "openai-key": lambda r: "sk-" + "proj-" + drawn(r, URLSAFE, 74),
    "anthropic-key": lambda r: "sk-" + "ant-api03-" + drawn(r, URLSAFE, 93),
    "huggingface-token": lambda r: "h" + "f_" + drawn(r, UPPER + LOWER, 34),
    "npm-token": lambda r: "np" + "m_" + drawn(r, ALNUM, 36),
    "pypi-token": lambda r: "py" + "pi-AgEIcHlwaS5vcmc" + drawn(r, URLSAFE, 120),
    "sendgrid-key": lambda r: "S" + f"G.{drawn(r, URLSAFE, 22)}.{drawn(r, URLSAFE, 43)}",
    "twilio-key": lambda r: "S" + "K" + drawn(r, HEX, 32),
    "telegram-bot": lambda r: drawn(r, "123456789", 9) + ":A" + "A" + drawn(r, URLSAFE, 33),
    "discord-bot": lambda r: "M" + drawn(r, ALNUM, 23) + "." + drawn(r, URLSAFE, 6) + "." + drawn(r, URLSAFE, 27),
    "jwt": lambda r: f"{b64url(r, {'alg': 'HS256'})}.{b64url(r, {'sub': '42'})}.{drawn(r, URLSAFE, 43)}",
    "private-key": lambda r: (
        "-----BEGIN RSA PRI" + "VATE KEY-----\n" + "\n".join(drawn(r, ALNUM, 64) for _ in range(6))
    ),
    "openssh-private-key": lambda r: "b3BlbnNzaC1rZ" + "XktdjEAAAAABG5vbmU" + drawn(r, ALNUM, 90),
    "age-key": lambda r: "AGE-SEC" + "RET-KEY-1" + drawn(r, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58),
    "database-url": lambda r: f"postgres://shop:{drawn(r, ALNUM, 14)}@db.internal:5432/shop",
    "url-with-password": lambda r: f"https://deploy:{drawn(r, ALNUM, 20)}@git.internal/app.git",
    "authorization-header": lambda r: f"Authorization: Bearer {drawn(r, ALNUM, 40)}",
    "password-assignment": lambda r: f"password = '{drawn(r, ALNUM, 9)}!7k'",
    "secret-assignment": lambda r: f"CLIENT_SECRET={drawn(r, ALNUM, 32)}",
    "shopify-token": lambda r: "shp" + "at_" + drawn(r, HEX, 32),
    "digitalocean-token": lambda r: "do" + "p_v1_" + drawn(r, HEX, 64),
}

ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda s: s,
    "in a sentence": lambda s: f"Hi, for the deployment please use {s} and tell me when it is done.",
    "in JSON": lambda s: json.dumps({"note": s, "n": 3}),
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64 in base64": lambda s: base64.b64encode(base64.b64encode(s.encode())).decode(),
    "base64 shifted, in lines": lambda s: base64.encodebytes(b"ab: " + s.encode()).decode(),
    "hex": lambda s: s.encode().hex(),
    "hex with colons": lambda s: s.encode().hex(":"),
    "URL": lambda s: "https://a.example/?q=" + quote(s, safe=""),
    "all percent": lambda s: "".join(f"%{b:02x}" for b in s.encode()),
    "escapes": lambda s: "".join(f"\\u{ord(c):04x}" for c in s),
}
LOOSE: dict[str, Callable[[str], str]] = {  # only formats that are rare in themselves can be found so
    "reversed": lambda s: s[::-1],
    "spaced": " ".join,
    "zero width": "\u200b".join,
    "split over lines": lambda s: "\n   ".join(s[i : i + 9] for i in range(0, len(s), 9)),
    "joined strings": lambda s: " + ".join(f'"{s[i : i + 7]}"' for i in range(0, len(s), 7)),
}
WORDY = {
    *("aws-secret-key", "azure-storage-key", "database-url", "url-with-password", "authorization-header", "jwt"),
    *("password-assignment", "secret-assignment", "private-key", "twilio-key", "telegram-bot", "discord-bot"),
}


def planted() -> list[tuple[str, str, str]]:
    """(rule, encoding, text): every format plain, and each in some of the encodings."""
    rng = random.Random(20)
    made = []
    for index, (rule, make) in enumerate(sorted(MAKERS.items())):
        names = list(ENCODINGS)
        chosen = ["plain", "in a sentence", *(names[2 + (index + k) % (len(names) - 2)] for k in range(4))]
        made += [(rule, name, ENCODINGS[name](make(rng))) for name in chosen]
        if rule not in WORDY:
            loose = list(LOOSE)
            made += [(rule, name, LOOSE[name](make(rng))) for name in (loose[index % 5], loose[(index + 2) % 5])]
    return made


_WRITTEN = (
    "the meeting about invoice delivery moved to Thursday because colleagues from Lyon arrive late and we still need a "
    "room with projector please bring last month's figures draft contract customer asked whether token ring or key "
    "account password policy secret garden authorisation committee api design basic rules reviewed again tomorrow"
)
WORDS = _WRITTEN.split()


def prose(rng: random.Random) -> str:
    lines = [" ".join(rng.choices(WORDS, k=rng.randint(6, 18))).capitalize() + "." for _ in range(rng.randint(2, 9))]
    return " ".join(lines) + f" Ref {rng.randint(1000, 99999)}, {rng.randint(1, 28)}/11/2026."


def python_code(rng: random.Random) -> str:
    name, other = rng.choice(WORDS).strip("'s"), rng.choice(WORDS).strip("'s")
    return (
        f"def get_{name}_token(self, key: str) -> str:\n    secret = self.vault.read('{other}')\n"
        f"    password = os.environ['{name.upper()}_PASSWORD']\n    api_key = config.get('api_key', None)\n"
        f"    token = tokenizer.next_token(position={rng.randint(1, 99)})\n    return hash_{other}(secret, key=key)[:16]\n"
        f"MAX_TOKENS = {rng.randint(1000, 99999)}\nprimary_key=True, foreign_key='{name}.id'\n"
    )


def log(rng: random.Random) -> str:
    return "\n".join(
        f"2026-11-{rng.randint(1, 28):02d}T{rng.randint(0, 23):02d}:14:{rng.randint(0, 59):02d}.{rng.randint(0, 999999):06d}Z "
        f"{rng.choice(['INFO', 'WARN'])} [req-{drawn(rng, HEX, 16)}] {rng.choice(WORDS)} took {rng.randint(1, 999)} ms "
        f"from 10.0.{rng.randint(0, 255)}.{rng.randint(0, 255)}:{rng.randint(1024, 65535)} pid={rng.randint(100, 32000)}"
        for _ in range(12)
    )


def hashes(rng: random.Random) -> str:
    return "\n".join(f"{drawn(rng, HEX, size)}  {rng.choice(WORDS)}.tar.gz" for size in (32, 40, 64, 128))


def uuids(rng: random.Random) -> str:
    return "\n".join(
        f"id: {drawn(rng, HEX, 8)}-{drawn(rng, HEX, 4)}-4{drawn(rng, HEX, 3)}-a{drawn(rng, HEX, 3)}-{drawn(rng, HEX, 12)}"
        for _ in range(8)
    )


def lock_file(rng: random.Random) -> str:
    return "\n".join(
        f"{rng.choice(WORDS).lower()}=={rng.randint(0, 9)}.{rng.randint(0, 30)}.{rng.randint(0, 9)} \\\n    --hash=sha256:{drawn(rng, HEX, 64)}"
        if rng.random() < 0.5
        else f'    "integrity": "sha512-{base64.b64encode(rng.randbytes(64)).decode()}",\n    "version": "{rng.randint(0, 9)}.2.1"'
        for _ in range(6)
    )


def picture(rng: random.Random) -> str:
    return f'<img alt="plot" src="data:image/png;base64,iVBORw0KGgo{base64.b64encode(rng.randbytes(900)).decode()}">'


def documentation(rng: random.Random) -> str:
    return (
        f"## Authentication\n\nSet `API_KEY=<your key>` or pass `--token $TOKEN`. Passwords: at least {rng.randint(8, 20)} "
        "characters. Example: `export GITHUB_TOKEN=ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx`, "
        "`Authorization: Bearer YOUR_TOKEN_HERE`, `password: changeme123`, `postgres://user:$PASSWORD@host/db`.\n"
        f"The public key is ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{drawn(rng, ALNUM, 43)} {rng.choice(WORDS)}@host\n"
        "-----BEGIN PUBLIC KEY-----\n" + drawn(rng, ALNUM, 64) + "\n-----END PUBLIC KEY-----\n"
    )


def table(rng: random.Random) -> str:
    rows = [
        f"{rng.choice(WORDS)},{rng.randint(0, 10**6)},{rng.random() * 1000:.4f},2026-0{rng.randint(1, 9)}-11"
        for _ in range(14)
    ]
    return "name,amount,mean,day\n" + "\n".join(rows)


def diff(rng: random.Random) -> str:
    return (
        f"commit {drawn(rng, HEX, 40)}\nAuthor: A Person <person@example.org>\nindex {drawn(rng, HEX, 7)}..{drawn(rng, HEX, 7)} 100644\n"
        f"--- a/src/{rng.choice(WORDS)}.ts\n+++ b/src/{rng.choice(WORDS)}.ts\n@@ -{rng.randint(1, 99)},7 +12,9 @@ export class Key\n"
        f"-  const cacheKey = buildCacheKey(user.id, 'v{rng.randint(1, 9)}');\n+  const tokenType: string = response.token_type;\n"
        "+  if (password.length < 12) throw new Error('password is too short');\n"
    )


CLEAN = (prose, python_code, log, hashes, uuids, lock_file, picture, documentation, table, diff)


def clean() -> list[tuple[str, str]]:
    """(kind, text): 25 of each of ten kinds."""
    rng = random.Random(30)
    return [(make.__name__, make(rng)) for make in CLEAN for _ in range(25)]


def rot13(text: str) -> str:
    return codecs.encode(text, "rot13")
