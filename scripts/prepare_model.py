"""Let the embedded model read its fixed instructions once, so that the first request is answered in seconds.

    python scripts/prepare_model.py [--lang en|fr]

What it read is kept beside the weights (about 90 MB a language) and restored at every start; a second run only restores it.
The other language is prepared when it is first spoken. Needs the weights (`scripts/fetch_model.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time

from carapax.adapters.providers.embedded.adapter import EmbeddedProvider
from carapax.adapters.providers.embedded.weights import FILE_NAME, find_models_dir
from carapax.adapters.tools.manifest import family_manifests
from carapax.agent.small.language import Language
from carapax.agent.small.model import SmallModel
from carapax.core.terms.error import CarapaxError


async def prepare(language: Language) -> None:
    """Read the fixed part in this language, or restore it."""
    inner = EmbeddedProvider(find_models_dir(os.environ) / FILE_NAME)
    try:
        await SmallModel(inner, warm=inner.warm).warm(family_manifests(), language)
    finally:
        await inner.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    spoken = os.environ.get("LC_ALL") or os.environ.get("LANG") or ""
    parser.add_argument(
        "--lang", choices=[kind.value for kind in Language], default="fr" if spoken[:2] == "fr" else "en"
    )
    language = Language(parser.parse_args().lang)
    print("  model       reading its instructions once, a minute or two …", flush=True)
    started = time.monotonic()
    try:
        asyncio.run(prepare(language))
    except CarapaxError as error:
        print(f"{error.what}\n{error.next_step}", file=sys.stderr)
        return 1
    print(f"  model       ready ({time.monotonic() - started:.0f} s)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
