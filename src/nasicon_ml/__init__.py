"""Ionic conductivity, density and phase purity of NASICON-type electrolytes, predicted from the whole recipe."""
