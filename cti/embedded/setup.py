"""stub"""
from pathlib import Path
def cached_asterisk():
    return Path("/var/cache/cti/spike-ast")
