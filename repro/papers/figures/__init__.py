"""The figures of docs/papers, each computed from the shipped prototxts: ``python -m repro.papers.figures``."""
