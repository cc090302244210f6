"""
Chaos: whole runs of the operator, from the first worker to the verdict, while everything that can break does.

``plan`` draws what a run goes through, ``chaos`` breaks the network, ``stage`` plays Airflow, ``judge`` compares what
the tasks were told with what Hevo knows. A seed reproduces a run: all that is random follows from the seed, the run's
number, and the virtual time at which it happens.
"""
