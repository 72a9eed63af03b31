"""The arithmetic that a user's own function is held to: what its author claims, else what is sound in its dtype.

By default each operation may be rounded to the case's dtype (docs/numerics.md, "Profiles"), sums of classes are kept
in float32 or wider, and what one kernel hands to the next is stored in the case's dtype. The losses of different rows
may be added up in the dtype: torch's own reductions of 16-bit types do so. Computing in a wider format is sound and
always allowed. JAX and TensorFlow flush subnormal numbers while they compute; JAX adds cotangents up in the dtype,
TensorFlow's own kernels the classes of 16-bit types, in 8 lanes (their backends' declarations). A claim replaces a
default: a narrower one admits what would else be an error, a wider one is held.
"""

from __future__ import annotations

from gradaudit.records.profile import Profile
from gradaudit.records.subject import Subject

SIXTEEN_BITS = ("float16", "bfloat16")
FLUSHING = ("jax", "tensorflow")


def profile_of(subject: Subject, dtype: str) -> Profile:
    """The profile of `subject` on inputs of `dtype`."""
    claims = subject.profile
    sixteen = dtype in SIXTEEN_BITS
    compute = claims.get("compute", dtype)
    in_dtype = subject.backend == "tensorflow"
    accumulate = claims.get("accumulate", "float32" if sixteen and not in_dtype else dtype)
    # A 16-bit exp or log is computed in float32 and rounded; other formats have libraries of their own.
    ulp = 1.0 if compute in SIXTEEN_BITS else 4.0
    return Profile(
        compute=compute,
        accumulate=accumulate,
        storage=claims.get("storage", dtype),
        statistics=compute,
        exp_ulp=ulp,
        log_ulp=ulp,
        height="lanes" if in_dtype and sixteen and "accumulate" not in claims else "any",
        probabilities="quotient",
        reduction=claims.get("accumulate", dtype),
        flushes=subject.backend in FLUSHING and dtype != "float16",
        flushed_below=2.0 if subject.backend == "tensorflow" else 1.0,
        cotangents=dtype if subject.backend == "jax" and sixteen else None,
    )
