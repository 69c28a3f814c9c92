"""Which version of the flows a new call begins with: the live one or, for a share of the callers, the canary."""

from __future__ import annotations

from hashlib import sha256

import msgspec


class Serving(msgspec.Struct, frozen=True):
    """Version numbers; 0: none. `share`: percent of the callers that the canary serves, 1 to 99."""

    live: int = 0
    canary: int = 0
    share: int = 0

    def told(self, version: int, share: int) -> Serving:
        """After FlowsPublished: share 100 makes it live, less the canary, 0 ends it as one."""
        if share >= 100:
            return Serving(version) if version == self.canary else msgspec.structs.replace(self, live=version)
        if share > 0:
            return Serving(self.live, version, share)
        return Serving(self.live) if version == self.canary else self

    def version_for(self, caller: str, call_id: str) -> int:
        """The same caller meets the same version each time, and stays with the canary when its share grows; one who
        withholds his number is drawn anew with each call."""
        return self.canary if self.canary and _place(self.canary, caller or call_id) < self.share else self.live


def _place(canary: int, who: str) -> int:
    """0 to 99, evenly spread; another order of the callers for each canary, so that not the same ones try them all."""
    return int.from_bytes(sha256(f"{canary}/{who}".encode()).digest()[:8]) % 100
