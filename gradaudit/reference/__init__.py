"""Case inputs -> exact results in balls; case inputs and a profile -> what a sound candidate may be off by.

`truth.Truth(inputs)` iterates over blocks of rows (`blocks()`), each with `output` and, per cotangent, `gradient`;
both are :class:`special_values.Enclosed` (midpoint + low part within a radius). `reduced_output()` is the mean or
sum. `ladder.rows(function, formulation, profile)` lists the tolerance rows, strictest first;
`tolerance.Tolerance(truth, row)` gives the elementwise tolerance of each block. Arrays are [rows, classes] with
the class axes flattened and last; `truth.layout` maps them back.
"""
