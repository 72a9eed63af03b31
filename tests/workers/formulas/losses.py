"""Python formulas: right ones, and everything that a user may do in one."""

import sys

import numpy as np


def focal(z, y, m, gamma):
    p = m.softmax(z)
    return -((1 - m.take(p, y)) ** gamma) * m.log(p)[y]


def adjusted(z, y, m, prior, extra=0.5):
    return m.logsumexp(z + m.log(prior)) - m.take(z + m.log(prior), y) + np.float64(extra) * np.float32(2.0) * 1


def activation(z, m):
    return m.softmax(z)


class Loss:
    @staticmethod
    def formula(z, q, m, n):
        return m.sum(-q * m.log_softmax(z)) / n


def branches(z, y, m):
    if z > 0:
        return z
    return m.take(z, y)


def calls_numpy(z, y, m):
    return np.exp(z)


def sums_a_row(z, y, m):
    picked = m.take(z, y)
    return m.sum(picked)


def asks_for_x(x, y, m):
    return x


def misspells(z, y, m):
    return m.softmaxx(z)


def returns_none(z, y, m):
    m.exp(z)


def returns_a_number(z, y, m):
    return 3.0


def returns_the_label(z, y, m):
    return y


def raises(z, y, m):
    raise ValueError("not today")


def exits(z, y, m):
    sys.exit(3)


def loops_over_numbers(z, y, m):
    for number in range(10**9):
        z = z + number
    return z


def loops(z, y, m):
    while True:
        pass


def by_position(z, y, m, /):
    return m.take(z, y)


def power_of_itself(z, y, m):
    return z**z


def not_finite(z, y, m):
    return z * float("inf")


NUMBER = 3
