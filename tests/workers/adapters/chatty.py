import sys

sys.stdout.write("welcome to the framework\n" * 100_000)


def hello(threads):
    return {"versions": {"chatty": "1.0"}, "dtypes": ["float32"], "threads": threads}


def evaluate(request, arrays):
    x = arrays["logits"]
    return {"output": (x, "float32"), "gradient": (x, "float32"), "seconds": 0.0}
