"""The LongEmbed benchmark at the user's desk: measure any model, any method, and see the result.

It brings the commands `longembed bench` and `longembed calibrate`.
"""
