"""Golden servers: their true answer times are known by construction, and each writes down what it really did.

For tests and benchmarks only: nothing that is delivered imports this folder, and it shares no code with the load
generator that is tested against it. Unlike the rest of ``shared`` it opens sockets and starts processes.
"""
