"""One module's life: its method, losses, data, optimiser, evaluation and checkpoint.

Whoever measures cost lives here too. A worker drives the steps of its modules and hands what
leaves them to a channel: it does not know ranks, sockets or other processes.
"""
