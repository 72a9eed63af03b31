"""An adapter whose "formulation" names what it does wrong; "fused" does nothing wrong."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time


class UnsupportedError(Exception):
    pass


def hello(threads):
    import numpy

    dtypes = ["float16", "bfloat16", "float32"]
    details = {"omp": os.environ["OMP_NUM_THREADS"], "stdin": str(sys.stdin.read() == "")}
    return {"versions": {"numpy": numpy.__version__}, "dtypes": dtypes, "threads": threads, "details": details}


def draw(distribution, shape, seed):
    import numpy

    if distribution == "dies":
        os._exit(7)
    return numpy.full(shape, seed, numpy.float64 if distribution == "float64" else numpy.float32)


def evaluate(request, arrays):
    x, dtype = arrays["logits"], request["dtype"]
    result = {"output": (x, dtype), "gradient": (2 * x, dtype), "seconds": 0.5}
    return MISBEHAVIOUR.get(request["formulation"], lambda request, x, result: result)(request, x, result)


def raises(request, x, result):
    raise ValueError("logits of shape %s are not to my taste" % (x.shape,))


def leaves(request, x, result):
    sys.exit("I am leaving")


def lacks_the_dtype(request, x, result):
    raise UnsupportedError("no kernel for %s" % request["dtype"])


def exits(request, x, result):
    print("last words")
    os._exit(3)


def segfaults(request, x, result):
    ctypes.string_at(0)


def kills_itself(request, x, result):
    os.kill(os.getpid(), signal.SIGKILL)


def hangs(request, x, result):
    print("thinking", flush=True)
    time.sleep(3600)


def spins(request, x, result):
    while True:
        pass


def leaves_a_child_and_hangs(request, x, result):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    with open(os.path.join(os.path.dirname(request["folder"]), "child"), "w") as file:
        file.write(str(child.pid))
    time.sleep(3600)


def forks_and_exits(request, x, result):
    if os.fork() == 0:
        time.sleep(3600)  # holding every pipe open
    os._exit(4)


def floods(request, x, result):
    line = "x" * 1023 + "\n"
    for _ in range(8 * 1024):
        sys.stdout.write(line)
        os.write(2, b"y" * 1024)
    os.write(1, b"straight to descriptor 1\n")
    print("the end")
    return result


def prints_for_ever(request, x, result):
    while True:
        os.write(1, b"z" * 65536)


def allocates(request, x, result):
    import numpy

    kept = []
    while True:
        kept.append(numpy.ones(1 << 22))


def allocates_beyond_its_own_limit(request, x, result):
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    allocates(request, x, result)


def runs_out_like_torch(request, x, result):
    raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")


def aborts_out_of_memory(request, x, result):
    os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
    os.abort()


def wrong_shape(request, x, result):
    return dict(result, gradient=(x[:1], request["dtype"]))


def wrong_output_shape(request, x, result):
    return dict(result, output=(x.sum(), request["dtype"]))


def no_gradient(request, x, result):
    del result["gradient"]
    return result


def objects(request, x, result):
    return dict(result, output=(x.astype(object), request["dtype"]))


def integers(request, x, result):
    return dict(result, output=(x.astype("int64"), "int64"))


def another_dtype_than_it_says(request, x, result):
    return dict(result, output=(x.astype("float64"), "float32"))


def wider(request, x, result):
    return dict(result, output=(x.astype("float64"), "float64"))


def nothing(request, x, result):
    return None


def no_time(request, x, result):
    return dict(result, seconds=float("nan"))


def writes_into_its_inputs(request, x, result):
    import numpy

    kept = numpy.array(x)
    x[...] = -1.0
    return dict(result, output=(kept, request["dtype"]))


def nan(request, x, result):
    return dict(result, gradient=(x * float("nan"), request["dtype"]))


def garbage(request, x, result):
    for descriptor in range(3, 32):
        try:
            os.write(descriptor, b"\x00\x00\x00\x05hello")
        except OSError:
            pass
    time.sleep(3600)


def endless_garbage(request, x, result):
    for descriptor in range(3, 32):
        try:
            os.write(descriptor, b"HTTP/1.1 500 Internal Server Error")
        except OSError:
            pass
    time.sleep(3600)


def answers_for_another(request, x, result):
    data = b'{"id": 12345, "status": "ok"}'
    for descriptor in range(3, 32):
        try:
            os.write(descriptor, len(data).to_bytes(4, "big") + data)
        except OSError:
            pass
    time.sleep(3600)


def closes_everything(request, x, result):
    os.closerange(3, 32)
    time.sleep(3600)


def closes_its_streams(request, x, result):
    sys.stdout.close()
    sys.stderr.close()
    return result


def replaces_its_streams(request, x, result):
    sys.stdout = sys.stderr = None
    return result


def leaves_a_thread(request, x, result):
    threading.Thread(target=time.sleep, args=(3600,)).start()
    return result


MISBEHAVIOUR = {name: value for name, value in globals().items() if callable(value)}
