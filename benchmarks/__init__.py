"""Speed and memory beside peers, each as a ratio measured in one run (`python -m benchmarks`)."""
