"""What the bridge can do, measured on the machine at hand: `make bench`."""
