"""The small-model profile: how a model of one or two billion parameters is asked, so that it acts reliably.

Pure parts: `language`, `examples`, `profile` (the fixed part), `history` (what is shown of the session), `steps` (JSON steps).
`model.SmallModel` is the provider that puts them around another provider.
"""

from carapax.agent.small.model import SmallModel

__all__ = ["SmallModel"]
