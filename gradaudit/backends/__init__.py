"""What each framework can do, and the arithmetic it declares. No framework is imported here."""
