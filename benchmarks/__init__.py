"""What waiting costs, measured beside a bare aiohttp loop and beside comparable providers: ``make bench``."""
