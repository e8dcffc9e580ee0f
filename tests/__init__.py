"""The tests of Loci."""
