"""Is this product there, and which of its releases? deploy.sh asks."""
from pathlib import Path

FOLDERS = Path(__file__).resolve().parts  # 'releases', '20261122-213000', 'myproduct', 'api', 'v0', 'health.py'
RELEASE = FOLDERS[-5] if FOLDERS[-6:-5] == ('releases',) else ''


def read(request):
    """'ok' from whoever answers, and the name of its release; '' where nobody deployed it."""
    return {'status': 'ok', 'release': RELEASE}
