"""Promotion: the stages of a version, the guards between them, and the ledger of who did what."""
