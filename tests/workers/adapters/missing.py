def hello(threads):
    import a_framework_that_nobody_has  # noqa: F401
