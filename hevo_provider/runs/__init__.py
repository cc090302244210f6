"""
What it means to run a pipeline. Nothing here knows of Airflow, and all of it can be played on the sandbox.

What there is to know:

* ``order``: what the DAG asks for. ``run``: how far it has come, with every transition; the diagram is there.
* ``listing``: the newest jobs and the pipeline, read together. ``identity``: whose job is whose.
* ``error_table``: what an error means for a task.

What a worker does:

* ``course``: all of it, in order. ``by_name``: which pipeline is meant, where a name is given.
* ``resume``: go on with what an earlier try has left. ``failed_objects``: or with only the objects that it has not
  loaded.
* ``start``: the checks, and the one POST. ``fresh``: whether a job is needed at all. ``chosen_objects``: objects by
  name. ``job_objects``: which objects a job was about. ``cancel_others``: cancel a job that is in the way, if the DAG
  asks for that.
* ``cancel``: cancel the job that was started, and no other.

How a run is waited for:

* ``wait``: the one loop, phase after phase. ``phases``: which phase a run is in. ``ready``: until the action may be
  sent. ``search``: until the job shows. ``completed``: or until any has completed since a time. ``follow``: until the
  job ends.
* ``share``: when a wait may poll, within Hevo's limit. ``urgency``: how urgent its next poll is.
* ``outage``: an API that is down is endured, logged once, and given up on. ``progress``: how far the job has come.

How it ends:

* ``outcome``: what a wait comes to. ``events``: how that travels as JSON. ``verdict``: what a job's end means.
  ``loaded``: what the job has loaded, object by object.
* ``words``: all of it in sentences. ``logger``: where they are logged.
"""
