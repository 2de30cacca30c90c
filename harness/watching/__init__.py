"""Observation of an unmodified PyTorch program: hooks in torch tell a hub, the hub tells the observers.

Nothing here changes a bit of what the program computes: no random number is drawn, no tensor written.
"""
