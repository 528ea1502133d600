"""Measure any model and method on long documents: `longembed bench` and `longembed calibrate`."""
