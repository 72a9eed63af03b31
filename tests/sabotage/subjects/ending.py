"""Losses in NumPy that end, stop or change the process they run in."""

import os
import sys
import threading
import time

import numpy


def right(logits, targets, upstream):
    rows = numpy.arange(len(logits))
    shifted = logits - logits.max(1, keepdims=True)
    total = numpy.exp(shifted).sum(1, keepdims=True)
    loss = (numpy.log(total)[:, 0] - shifted[rows, targets]).mean()
    gradient = numpy.exp(shifted) / total
    gradient[rows, targets] -= 1
    return loss, gradient * (upstream / len(logits)).astype(logits.dtype)


def exits(logits, targets, upstream):
    print("last words", flush=True)
    os._exit(7)


def segfaults(logits, targets, upstream):
    import ctypes

    ctypes.string_at(0)


def loops(logits, targets, upstream):
    while True:
        time.sleep(0.01)


def forks(logits, targets, upstream):
    os.fork()
    return right(logits, targets, upstream)


def forks_and_forgets(logits, targets, upstream):
    if os.fork() == 0:
        time.sleep(60.0)
    return right(logits, targets, upstream)


def prints(logits, targets, upstream):
    for _ in range(4096):
        print("x" * 1023)
    return right(logits, targets, upstream)


def closes_stdout(logits, targets, upstream):
    sys.stdout.close()
    os.close(1)
    return right(logits, targets, upstream)


def closes_descriptors(logits, targets, upstream):
    os.close(1)
    return right(logits, targets, upstream)


def seeds(logits, targets, upstream):
    numpy.random.seed(0)
    return right(logits, targets, upstream)


def leaves_a_thread(logits, targets, upstream):
    threading.Thread(target=time.sleep, args=(60.0,), daemon=True).start()
    return right(logits, targets, upstream)


def moves(logits, targets, upstream):
    os.chdir("/")
    return right(logits, targets, upstream)


def forgets_its_module(logits, targets, upstream):
    sys.modules.pop(__name__, None)
    return right(logits, targets, upstream)


calls = []


def dies_when_called_again(logits, targets, upstream):
    calls.append(1)
    if len(calls) > 1:
        os._exit(5)
    return right(logits, targets, upstream)
