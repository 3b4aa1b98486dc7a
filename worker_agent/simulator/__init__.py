"""The simulated engine: a separate HTTP server that speaks a real engine's wire format and invents the
answers and the speed. Start it with `server.serve`; describe it with `profile.load_profile`."""
