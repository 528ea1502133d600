"""Tune the position vectors that an extension added, and whiten models, without labels.

The entry points are `longembed_tuning.tuning.tune` and `longembed_tuning.whiten.whiten`; on the
command line, `longembed tune` and `longembed whiten`.
"""
