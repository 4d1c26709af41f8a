"""What callers of simulated systems share in tests: the URL, and a session that takes nothing from the environment."""

import requests


class SystemCaller:
    """Speaks HTTP to one simulated system."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
