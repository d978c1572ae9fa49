"""What each command of `dts` does; cli.py reads arguments and the environment and calls these."""
