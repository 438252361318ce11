"""Versions side by side: who gets which (routes, assignment), what each did (report), who gets more when (guards)."""
