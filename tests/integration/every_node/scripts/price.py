import json
import sys

asked = json.load(sys.stdin)
print(json.dumps({"outcome": "cheap" if asked["args"]["left"] == 7 else "dear", "price": 5}))
