"""
``python -m hevo_provider.doctor``: hold this package's picture of Hevo's API against a real account.

It reads, and starts nothing unless ``--sync`` says so.

``way_in`` finds out where Hevo is and how to get in. ``asker`` sends one request at a time, paced, and keeps what came
back as an ``exchange``. ``observe`` says what is asked, ``measure`` what a sync is measured by. ``reading`` finds the
list in an answer, whatever its words; ``fields`` says what is expected in one. ``contract`` reads the facts of
``API.md``, and ``assumptions`` holds one small function for each of them. ``progress`` says how far it has come,
``report`` is the table, ``anonymous`` what may be written to a file, ``redaction`` what may be shown at all.
"""
