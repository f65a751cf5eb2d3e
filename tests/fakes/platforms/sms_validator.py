"""Twilio's own validator and client, run by the peers' interpreter: it judges signatures of the stand-in and of the wire.

Reads a list of [token, url, form, signature] as JSON from standard input; prints a list of true and false.
"""

from __future__ import annotations

import json
import sys

from twilio.request_validator import RequestValidator

if __name__ == "__main__":
    print(
        json.dumps([RequestValidator(token).validate(url, form, sig) for token, url, form, sig in json.load(sys.stdin)])
    )
