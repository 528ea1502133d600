"""Tuning the position vectors that an extension added, as LongEmbed's section 4.2 does.

The entry point is `longembed_tuning.tuning.tune`, and on the command line `longembed tune`.
"""
