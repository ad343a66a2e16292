"""A simulated fleet of Windows hosts that speaks WS-Management, for tests, the demo and trying things out."""
