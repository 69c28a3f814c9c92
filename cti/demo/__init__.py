"""Demo data and simulated people: callers and agents on real SIP, one seat for the newcomer."""
