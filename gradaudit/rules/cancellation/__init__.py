"""CAN: digits that cancelled."""
