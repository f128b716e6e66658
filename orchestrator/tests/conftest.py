import sys
from pathlib import Path

# What these tests share stands beside them: `from edges_support import …`.
sys.path.insert(0, str(Path(__file__).parent))

pytest_plugins = ["service_kit.testing"]
