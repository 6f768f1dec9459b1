"""report.json and report.html: what a proof, an advice or a replay found, for machines and for people."""
