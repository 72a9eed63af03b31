"""The host side of the worker processes. Importing it imports neither NumPy nor a framework."""

from gradaudit.workers.adapter import load_adapter
from gradaudit.workers.process import BackendProcess, start
from gradaudit.workers.settings import WorkerSettings

__all__ = ["BackendProcess", "WorkerSettings", "load_adapter", "start"]
