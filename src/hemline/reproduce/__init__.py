"""``hemline reproduce``: tables and figures of the papers, measured beside what is published.

One file for each paper (`darn`, `ynet`, `siamese`, `ahbn`; `ours` has all rows together), each an
`hemline.reproduce.experiment.Experiment`; the mechanism is the same for all.
"""
