"""gradaudit proves where a softmax or cross-entropy gradient is right, measures how right, and names the cause
where it is wrong. Importing it imports no framework."""

__version__ = "0.1.0"
