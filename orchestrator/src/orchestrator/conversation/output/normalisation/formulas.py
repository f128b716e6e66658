"""LaTeX formulae as plain signs: `\\frac{a}{b}` becomes `a ÷ b`, `\\times` becomes `×`. Pure."""

from __future__ import annotations

import re

# Commands that have a sign, which is then read like any other.
_SIGNS = {
    "times": "×",
    "cdot": "×",
    "ast": "×",
    "div": "÷",
    "pm": "±",
    "leq": "≤",
    "le": "≤",
    "geq": "≥",
    "ge": "≥",
    "neq": "≠",
    "ne": "≠",
    "approx": "≈",
    "lt": "<",
    "gt": ">",
    "to": "→",
    "rightarrow": "→",
    "infty": "∞",
    "circ": "°",
    "percent": "%",
    "pi": "π",
}
_TEXT = re.compile(r"\\(?:text|mathrm|mathbf|mathit|operatorname|boxed|textbf|textit)\{([^{}]*)\}")
_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}")
_ROOT = re.compile(r"\\sqrt\{([^{}]*)\}")
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_LAYOUT = re.compile(r"\\(?:left|right|quad|qquad|displaystyle|limits|begin\{[^{}]*\}|end\{[^{}]*\})|\\[,;:! \\]|[{}&]")
# As deep as formulae nest in speech; deeper ones lose their braces only.
_MAX_DEPTH = 4


def read_formula(formula: str) -> str:
    """Return `formula`, LaTeX without its delimiters, as words and signs."""
    for _ in range(_MAX_DEPTH):
        before = formula
        formula = _TEXT.sub(r"\1", formula)
        formula = _FRACTION.sub(r"\1 ÷ \2", formula)
        formula = _ROOT.sub(r"√\1", formula)
        if formula == before:
            break
    formula = _LAYOUT.sub(" ", formula.replace("\\%", "%").replace("\\$", "$").replace("^{", "^"))
    formula = _COMMAND.sub(lambda command: f" {_SIGNS.get(command[1], command[1])} ", formula)
    formula = re.sub(r"\s*\^\s*°", "°", formula)
    return re.sub(r"\s+", " ", formula).strip().replace("_", " ")
