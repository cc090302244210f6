"""
What it means to run a pipeline. Nothing here knows of Airflow, and all of it can be played on the sandbox.

What there is to know:

* ``order``: what the DAG asks for. ``run``: how far it has come, with every transition; the diagram is there.
* ``listing``: the newest jobs and the pipeline, read together. ``identity``: whose job is whose.
* ``error_table``: what an error means for a task.

What a worker does:

* ``course``: all of it, in order. ``resume``: go on with what an earlier try has left; ``failed_objects``: be it some
  objects. ``start``: the checks, and the one POST. ``fresh``: whether that is needed. ``chosen_objects``: objects by
  name. ``job_objects``: those of a job. ``cancel``: end the job that was started, and no other.

How a run is waited for:

* ``wait``: the one loop, phase after phase. ``phases``: which phase a run is in. ``ready``: until the action may be
  sent. ``search``: until the job shows. ``completed``: or until any has completed since a time. ``follow``: until the
  job ends.
* ``outage``: an API that is down is endured, told once, and given up on. ``progress``: how far the job has come.

How it ends:

* ``outcome``: what a wait comes to. ``events``: how that travels as JSON. ``verdict``: what a job's end means.
  ``words``: all of it in sentences. ``logger``: who is told.
"""
