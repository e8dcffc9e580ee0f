"""Addresses, routes, channels, transports, telemetry: how things move between modules.

The only room that knows `torch.distributed` and ZeroMQ. A tensor is bytes with a shape and a
dtype here: this room does not know what the tensors mean, nor what a network, a loss or a
dataset is.
"""
