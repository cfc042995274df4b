"""Property heads: excited-state energies and intensities of molecules from a committee of networks.

``definitions``: what is predicted; ``model``, ``attention``, ``pooling``: one member; ``training``,
``training_data``, ``member_files``: how it is made and kept; ``committee``, ``evaluation``: the
members together and what their word is worth; ``fidelity``: a second level of theory.
"""
