"""How a consumer is watched: telemetry, watchdog, health and metrics over HTTP."""
