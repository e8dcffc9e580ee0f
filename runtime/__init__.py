"""A run as a whole: processes, devices, run directory, failures, console, recipes, report.

It starts the workers, keeps them alive together or ends them together, and writes down what
happened: it does not know the tensors of a step.
"""
