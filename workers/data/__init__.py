"""Datasets: prepared once as plain arrays, then read as a pure function of (seed, step).

`prepare` turns a `DataConfig` into a folder of arrays, `Prepared` opens it within milliseconds and
without any image library, `Feed` makes its batches. Every process opens the same folder and
computes the same batch, so labels and images never travel.

Does not know: networks, modules, devices, ranks. To add a dataset, write one file that offers a
`Source` and add one name to `registry.py`.
"""
