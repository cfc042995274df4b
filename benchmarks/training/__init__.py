"""Both sides of ``training_speed.py``: the data, our committee, and SchNetPack's own trainer."""
