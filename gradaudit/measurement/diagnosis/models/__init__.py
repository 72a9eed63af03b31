"""Models of faulty functions: one module for each stage of the way from logits to loss where a slip can happen."""
