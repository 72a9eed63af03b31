"""Specs: YAML and flags in, validated cases out, and the arrays that a case is fed.

`loading.load` reads files, folders and standard input, `flags.case_from_flags` one case from the command line,
`materialise.materialise` makes the arrays, `estimate.estimate` counts their bytes first, and
`schema.json_schema` describes the format to editors. Nothing is imported here: pydantic and yaml cost start-up.
"""
