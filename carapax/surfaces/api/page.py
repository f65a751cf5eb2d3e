"""The page at /: what this is, and a form that turns the one-time sign-in code into a token.

Layer: surfaces/api. Absent: scripts, images, anything fetched from elsewhere. The style is allowed by its hash.
Law: a value from outside is escaped before it is on the page.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape

from starlette.responses import Response

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2329; --soft: #59636e; --paper: #fbfaf7; --card: #ffffff;
  --line: #d9d6cd; --deed: #1f6f54; --stop: #a3352b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e3dc; --soft: #a2a9b1; --paper: #16191c; --card: #1e2226;
  --line: #363c42; --deed: #6cc4a1; --stop: #ee8d82; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 17px/1.6 system-ui, sans-serif; }
main { max-width: 38rem; margin: 0 auto; padding: 12vh 1.5rem 4rem; }
h1 { font-size: 1.7rem; font-weight: 600; letter-spacing: -0.01em; margin: 0 0 0.4rem; }
h2 { font-size: 1.05rem; font-weight: 600; margin: 0 0 0.5rem; }
p { margin: 0 0 1rem; }
.soft { color: var(--soft); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1.4rem 1.5rem;
  margin: 1.8rem 0; }
section > :last-child { margin-bottom: 0; }
.stop { border-left: 4px solid var(--stop); }
.done { border-left: 4px solid var(--deed); }
form { display: flex; gap: 0.6rem; flex-wrap: wrap; }
input { flex: 1 1 11rem; min-width: 0; font: inherit; letter-spacing: 0.12em; text-transform: uppercase;
  padding: 0.55rem 0.8rem; color: inherit; background: var(--paper); border: 1px solid var(--soft);
  border-radius: 7px; }
button { font: inherit; font-weight: 600; padding: 0.55rem 1.3rem; border: 0; border-radius: 7px; cursor: pointer;
  background: var(--deed); color: var(--card); }
input:focus-visible, button:focus-visible { outline: 3px solid var(--deed); outline-offset: 2px; }
code, pre { font: 0.9em/1.5 ui-monospace, monospace; }
pre { background: var(--paper); border: 1px solid var(--line); border-radius: 7px; padding: 0.8rem 1rem;
  overflow-wrap: anywhere; white-space: pre-wrap; user-select: all; }
"""
STYLE_HASH = "sha256-" + base64.b64encode(hashlib.sha256(_STYLE.encode("utf-8")).digest()).decode("ascii")

_FORM = """<section><h2>Sign in</h2>
<p class="soft"><label for="code">The one-time code stands where the gateway was started.</label></p>
<form method="post" action="/signin">
<input id="code" name="code" required maxlength="40" autocomplete="one-time-code" spellcheck="false" autofocus>
<button>Get a token</button></form></section>"""


def _page(title: str, body: str, status: int = 200) -> Response:
    text = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )
    return Response(text, status, media_type="text/html")


def front_page() -> Response:
    """What this is, and the form."""
    return _page(
        "Carapax",
        "<h1>Carapax is running</h1><p>An agent that acts on this machine, inside a shell that holds. What it does is"
        " judged by your policy first, and recorded.</p>"
        f'{_FORM}<p class="soft">Programs talk to it at <code>/v1</code> (OpenAI’s interface) and'
        " <code>/api</code>, with a token. In a terminal: <code>carapax chat</code>.</p>",
    )


def token_page(value: str, address: str) -> Response:
    """The new token, shown this once, with what to do with it."""
    return _page(
        "Carapax: your token",
        "<h1>You are signed in</h1>"
        '<section class="done"><h2>Your token</h2><p>It is shown once and stored nowhere: copy it now.</p>'
        f"<pre>{escape(value)}</pre></section>"
        "<section><h2>What to do with it</h2><p>Give it to a program as its API key, with this address:</p>"
        f"<pre>{escape(address)}/v1</pre>"
        "<p>Whoever holds it may do what it allows. <code>carapax token list</code> shows all tokens,"
        " <code>carapax token revoke</code> ends one.</p></section>",
    )


def refused_page(what: str, next_step: str, status: int) -> Response:
    """Why there is no token, and the form again."""
    return _page(
        "Carapax: not signed in",
        f'<h1>Not signed in</h1><section class="stop"><p>{escape(what)}</p><p>{escape(next_step)}</p></section>{_FORM}',
        status,
    )
