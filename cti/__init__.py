"""A telephony-first CTI server: calls belong to Asterisk, decisions to `cti`, facts to PostgreSQL."""

__version__ = "0.1.0"
