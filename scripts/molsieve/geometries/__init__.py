"""Distorted geometries worth a label: attack, dynamics, normal modes, random displacements."""
