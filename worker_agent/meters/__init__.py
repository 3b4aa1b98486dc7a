"""What the engine on this machine costs in memory and energy while it is asked (docs/meters.md)."""
