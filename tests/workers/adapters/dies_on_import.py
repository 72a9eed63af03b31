import ctypes

print("importing", flush=True)
ctypes.string_at(0)
