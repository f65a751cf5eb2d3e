"""One module for each rig, with `def make_rig(folder: Path) -> Rig`; the suite finds them by their files."""
