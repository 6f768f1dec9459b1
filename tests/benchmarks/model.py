"""The model that every contender scores with; imports nothing, as one has an environment of its own."""

FEATURES = (
    "tenure",
    "monthly_charges",
    "total_charges",
    "contract_months",
    "support_calls",
    "logins_7d",
    "late_payments",
    "discount",
)
WEIGHTS = (-0.03, 0.01, -0.0001, -0.02, 0.3, -0.05, 0.4, -0.5)
INTERCEPT = -0.5
THRESHOLD = 0.6
MODEL_ID = "bench@1"
# As long as the real one, which a contender has no way to know.
MODEL_SHA256 = "0" * 12
