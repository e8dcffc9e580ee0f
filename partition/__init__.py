"""The architecture and its counts: what there is to train, where it is cut, who hears whom.

Everything here is decided before the first batch and ends in a plan, a frozen value. Data reaches
this room only as a `DataSpec`: it does not know data or training, no image, loss or step.
"""
