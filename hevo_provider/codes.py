"""
The codes of errors, each with what it means and what to do. Every message that a task can end with ends with its code.

``docs/troubleshooting.md`` has a section for each; a test holds it against this. A code is never given to something
else: people search for it in old logs. There are none from 400 to 599, which would be taken for statuses of HTTP.
"""

from __future__ import annotations

from typing import NamedTuple


class Code(NamedTuple):
    """
    What one kind of error means.

    :param name: such as ``HEVO-201``.
    :param title: the verdict in a few words, as it follows ``Pipeline 'Orders' (7):``.
    :param message: words that messages of this kind hold, to search for.
    :param meaning: what it means.
    :param advice: what to do.
    """

    name: str
    title: str
    message: str
    meaning: str
    advice: str

    @property
    def group(self) -> int:
        """The hundred that it belongs to: 1 for what the DAG says, 2 for the connection."""
        return int(self.name[len("HEVO-")])

    def __str__(self) -> str:
        return self.name


# 1xx: what the DAG says

WRONG_PARAMETER = Code(
    "HEVO-101",
    "a parameter makes no sense",
    "must be",
    "A parameter has a value that cannot be used: of the wrong type, out of range, or a name that is none of "
    "those that are offered. Nothing was sent to Hevo.",
    "Mend the parameter that the message names. If it is a template, see on the task's page what it rendered to.",
)
WHICH_PIPELINE = Code(
    "HEVO-102",
    "which pipeline is meant is not said",
    "Exactly one of pipeline_id and pipeline_name says which pipeline is meant",
    "Neither `pipeline_id` nor `pipeline_name` is given, or both are.",
    "Give one of them.",
)
NOT_RETURNED = Code(
    "HEVO-103",
    "the job's id was not handed on",
    "the task that should have returned",
    "`job_id` came from another task, which returned nothing, or a list. That task was skipped, or it does not "
    "wait for the job's id.",
    "Take the id from the task that starts the job, and see that this task runs only when that one has succeeded.",
)
NO_SUCH_TIME = Code(
    "HEVO-104",
    "this DAG run has no such time",
    "this DAG run has no such time",
    "`completed_after` is made of the run's data interval or logical date, and this run has none: on Airflow 3, "
    "runs that were started by hand or by an asset have none.",
    'Write `completed_after="{{ data_interval_end | default(dag_run.run_after) }}"`, which works in every run.',
)
DO_NOT_GO_TOGETHER = Code(
    "HEVO-105",
    "parameters do not go together",
    "goes with",
    "Two parameters contradict each other, or one is for another operator, such as a `job_type` that the action "
    "never brings.",
    "Leave out one of the two that the message names.",
)
NO_SUCH_NAME = Code(
    "HEVO-106",
    "no pipeline has that name",
    "No pipeline is called",
    "The account that the connection leads to has no pipeline of this name.",
    "Compare the name with Hevo; the message tells close ones. See that the connection leads to the right account "
    "and region.",
)
SEVERAL_OF_THE_NAME = Code(
    "HEVO-107",
    "several pipelines have that name",
    "Several pipelines are called",
    "More than one pipeline of the account has this name, so it does not say which is meant.",
    "Give `pipeline_id`, or rename a pipeline in Hevo.",
)
NO_SUCH_OBJECT = Code(
    "HEVO-108",
    "an object's name fits none",
    "in objects fits no object",
    "A name or pattern in `objects` fits none of the pipeline's objects, or an id in `object_ids` is none of "
    "them. Nothing was sent.",
    "Compare it with the pipeline's objects in Hevo; the message tells close ones.",
)
OBJECT_NOT_LOADED = Code(
    "HEVO-109",
    "the objects are not loaded by Hevo",
    "fits only what Hevo does not load",
    "All that the name or pattern fits is excluded from the pipeline, or deleted in the source.",
    "Include the object in the pipeline first, or take the name out of `objects`.",
)
NO_OBJECTS = Code(
    "HEVO-110",
    "no objects are chosen",
    "there is nothing to resync",
    "`objects` and `object_ids` are empty, or neither is given.",
    'Name at least one object. To reload all of them use `HevoPipelineOperator` with `action="RESYNC"`. If '
    "another task makes the list, skip this one where it is empty.",
)
MIXED_UP = Code(
    "HEVO-111",
    "a parameter is not known here",
    "is no parameter of",
    "The parameter is that of another operator or another provider.",
    "Use the name that the message tells.",
)

# 2xx: the connection

NO_CONNECTION = Code(
    "HEVO-201",
    "Airflow has no such connection",
    "isn't defined",
    "Airflow does not find the connection. It says the same where its database or secrets backend fails for a moment.",
    "Make the connection, with type `hevo`, or mend `connection_id`. If it is there, retries outlive the moment: "
    "give the task some.",
)
CREDENTIALS_MISSING = Code(
    "HEVO-202",
    "the connection has no API key or no secret",
    "The connection has no",
    "Login (the API key) or password (the API secret) of the connection is empty.",
    "Fill it in. Hevo shows a secret once, when its key is made; if it is lost, make another key.",
)
WRONG_CONNECTION = Code(
    "HEVO-203",
    "the connection cannot be used",
    "in the connection's extra",
    "A field of the connection makes no sense. The message names it.",
    "Mend that field. The page on the connection, in the docs, tells which there are.",
)
WRONG_HOST = Code(
    "HEVO-204",
    "the connection's host cannot be used",
    "The Hevo host",
    "The connection's host is missing or makes no address.",
    "Give a region such as `us`, or a host such as `us.hevodata.com`.",
)
UNENCRYPTED = Code(
    "HEVO-205",
    "the API key would be sent unencrypted",
    "Refusing to send the API key unencrypted",
    "The host is an http address of another machine. The API key would be readable on the way.",
    "Use https. Plain http is for a local sandbox only.",
)
WRONG_CREDENTIALS = Code(
    "HEVO-206",
    "the API key or its secret cannot be right",
    "begins or ends with white space or a line break",
    "Login or password of the connection has a character that no key of Hevo has: mostly the end of a line that "
    "was pasted along.",
    "Paste it again without white space.",
)
WRONG_FILE = Code(
    "HEVO-207",
    "a file of the connection cannot be used",
    "cannot be used:",
    "`ca_file`, `client_cert` or `client_key` of the connection is not there, not readable, encrypted, or no PEM file.",
    "See that the file is there on workers and triggerers, and that Airflow's user may read it.",
)
NOT_LOOKED_UP = Code(
    "HEVO-208",
    "Airflow could not look up the connection",
    "Airflow could not look up the connection",
    "Airflow's own API, database or secrets backend did not answer.",
    "See the health of Airflow and of its secrets backend. Retries outlive a short failure: give the task some.",
)

# 3xx: reaching Hevo

REFUSED_KEY = Code(
    "HEVO-301",
    "Hevo refuses the API key (401)",
    "Hevo answered 401",
    "The API key or its secret is wrong or revoked, or belongs to another region.",
    "Check login (the API key) and password (the API secret) of the connection, and that they belong to its "
    "region. `airflow connections test` tries them.",
)
REFUSED_ROLE = Code(
    "HEVO-302",
    "Hevo does not allow this to the key (403)",
    "Hevo answered 403",
    "The role of the key's owner may not do this, or the key is wrong.",
    "Give the owner a role that may run pipelines, or use the key of somebody who has one.",
)
NOT_FOUND = Code(
    "HEVO-303",
    "Hevo does not know it (404)",
    "Hevo answered 404",
    "There is no such pipeline, job or object for this key and region. Pipelines of Hevo Standard are of another "
    "API, which has no jobs to follow.",
    "Compare `pipeline_id` with the address of the pipeline's page, and see that the connection leads to the same "
    "account and region.",
)
VANISHED = Code(
    "HEVO-304",
    "Hevo does not know it any more, or not yet",
    "Hevo has not known it",
    "Hevo has answered 404 for minutes. The pipeline or job was deleted, or the job belongs to another pipeline, "
    "or the connection was changed to another account.",
    "Look at the pipeline and its jobs in Hevo. For a sensor, check that `job_id` and `pipeline_id` belong together.",
)
OUTAGE = Code(
    "HEVO-305",
    "no usable answer from Hevo for too long",
    "no usable answer from Hevo since",
    "Hevo, or what stands between, has given no usable answer for longer than `api_outage_tolerance`. The job may "
    "still run; a retry follows it where this Airflow can remember it.",
    "See https://status.hevodata.com and your proxy. To wait longer, raise `api_outage_tolerance`.",
)
NOT_REACHED = Code(
    "HEVO-306",
    "Hevo cannot be reached",
    "cannot connect to",
    "No connection came about: a wrong host, a firewall, a proxy, a certificate, or Hevo is down.",
    "Check host and region of the connection, and whether a firewall or proxy stands between. Retries outlive a "
    "short failure.",
)
NO_ANSWER = Code(
    "HEVO-307",
    "Hevo did not answer in time",
    "no answer from",
    "Hevo took the request and did not answer within the time-out.",
    "Retries outlive a short failure. If it is always so, raise `timeout` in the connection's extra.",
)
SERVER_ERROR = Code(
    "HEVO-308",
    "Hevo is failing (5xx)",
    "Hevo answered 5",
    "Hevo, or a gateway before it, has failed.",
    "Retries outlive a short failure: give the task some. For a longer one, see https://status.hevodata.com and wait.",
)
GATEWAY = Code(
    "HEVO-309",
    "a gateway answers instead of Hevo",
    "not from Hevo's API, but a page of a gateway, firewall or proxy",
    "What answered is a page of a gateway, firewall or proxy, and not Hevo's API.",
    "Check the host, and what stands between; a firewall may want a login or an exception.",
)
UNREADABLE = Code(
    "HEVO-310",
    "Hevo's answer cannot be read",
    "Hevo's answer",
    "What answered is not what Hevo's API answers, or the API has changed.",
    "Check the host. If it is right, run `python -m hevo_provider.doctor` and report what it finds.",
)
OVER_THE_LIMIT = Code(
    "HEVO-311",
    "too many requests to Hevo (429)",
    "Hevo answered 429",
    "The key has made more than 100 requests a minute, over all that use it.",
    "Poll less often (`poll_interval`), or run fewer tasks at a time with a pool. A key of its own helps where "
    "others use this one.",
)
REFUSED_REQUEST = Code(
    "HEVO-312",
    "Hevo refused the request",
    "Hevo answered 4",
    "Hevo does not accept the request; its own words are in the message. A redirect, which is not followed, is "
    "told so too.",
    "Read what Hevo says. For a redirect, check the connection's host.",
)
CONFLICT = Code(
    "HEVO-313",
    "Hevo refuses: a job is running (409)",
    "Hevo answered 409",
    "A job of the pipeline is running, or the job has ended already that was to be cancelled.",
    'Wait until the job has ended; the operator does so with `on_active_job="wait"`.',
)

# 6xx: starting a job, or finding one

NOT_READY = Code(
    "HEVO-601",
    "the pipeline is not INITIALIZED",
    "needs it to be INITIALIZED",
    "The pipeline is disabled, still being made, or broken, so it cannot run. Nothing was started.",
    "Enable or repair it in Hevo.",
)
REFUSED_ACTION = Code(
    "HEVO-602",
    "Hevo refuses to start it",
    "Hevo refused",
    "Hevo does not start the pipeline in its present state; its own words are in the message. Nothing was started.",
    "Look at the pipeline in Hevo: it may have no active object, or not be ready.",
)
BUSY = Code(
    "HEVO-603",
    "a job is active, so nothing was started",
    "is active",
    "Another job of the pipeline runs: Hevo's own schedule has started it, or another task, or a person.",
    "To let the task wait for it, cancel it, follow it, or start another all the same, set on_active_job to "
    '"wait", "cancel", "follow" or "start".',
)
NOT_TO_FOLLOW = Code(
    "HEVO-604",
    "the active job is none to follow",
    "which this task could follow",
    "A job of the pipeline is active, and it is of another type than the task wants, or it may reload other objects.",
    'Set on_active_job to "wait" or "cancel". Where another type will do, set `job_type`.',
)
NOT_CANCELLED = Code(
    "HEVO-605",
    "the active job could not be cancelled",
    "is active and was not cancelled",
    '`on_active_job="cancel"` asked Hevo to cancel the active job, and Hevo refused. Nothing was started.',
    'Read what Hevo says: the key\'s role may not cancel jobs. Cancel it in Hevo, or set on_active_job to "wait".',
)
MAY_BE_OWN = Code(
    "HEVO-606",
    "whether its job was started is not known",
    "no job of this task's own appeared",
    "Hevo's answer to the start was lost, no job of the task's own appeared, and another job is active: none is "
    "started beside it.",
    'Look at the pipeline\'s jobs in Hevo. To wait for the active job, set on_active_job to "wait".',
)
NEVER_STARTED = Code(
    "HEVO-607",
    "it was sent several times, no job appeared",
    "times and no job appeared",
    "Hevo has given no clear answer to the start, each time, and none of them brought a job.",
    "Look at the pipeline in Hevo before starting it again.",
)
NO_JOB = Code(
    "HEVO-608",
    "no job of its own appeared",
    "but no job of type",
    "Hevo accepted the start, or refused it because of a job, and no job of the expected type has shown.",
    "See the pipeline's jobs in Hevo before another start. Set `job_type` if the job is of another type; raise "
    "`retry_limit` if jobs take long to appear.",
)
NO_ACTIVE_JOB = Code(
    "HEVO-609",
    "no job to wait for was found",
    "no active job of type",
    "The sensor found no active job of the type at any of its polls.",
    "Start the job before the sensor, or allow more polls (`wait_for_job_max_attempts`). For jobs that may be "
    "over by then, use `completed_after`.",
)

# 7xx: how the job ended

FAILED = Code(
    "HEVO-701",
    "its job ended FAILED",
    "ended FAILED",
    "Hevo's job has failed. The counters and the failing objects are in the log.",
    "Look at the job in Hevo for why the objects fail, mend that, and clear the task or let it retry.",
)
WITH_FAILURES = Code(
    "HEVO-702",
    "its job ended COMPLETED_WITH_FAILURES",
    "ended COMPLETED_WITH_FAILURES",
    "The job has loaded some objects, and others have failed; they are in the log.",
    "Set accept_completed_with_failures=True to let the task succeed all the same, or mend the failing objects in "
    "Hevo.",
)
CANCELLED = Code(
    "HEVO-703",
    "its job was CANCELLED",
    "ended CANCELLED",
    'Somebody has cancelled the job: a person in Hevo, or another task with `on_active_job="cancel"`.',
    "Ask who did. Clear the task, or let it retry, to start another.",
)
SKIPPED = Code(
    "HEVO-704",
    "its job was SKIPPED",
    "ended SKIPPED",
    "Hevo skips a run while another job is active, so nothing was loaded.",
    'Set on_active_job to "wait", or run the task at another time than Hevo\'s own schedule.',
)
DEFERRED = Code(
    "HEVO-705",
    "its job ended DEFERRED",
    "ended DEFERRED",
    "The source's own rate limit stopped some objects. What was read of them is loaded, and the pipeline's next "
    "run goes on.",
    'Set on_deferred to "accept" to let the task succeed all the same, or to "continue" to let it go on until all '
    "has caught up (a sensor can only accept).",
)
DEFERRED_WITH_FAILURES = Code(
    "HEVO-706",
    "its job ended DEFERRED_WITH_FAILURES",
    "ended DEFERRED_WITH_FAILURES",
    "The source's own rate limit stopped some objects, and others have failed.",
    "Mend the failing objects in Hevo. on_deferred helps only together with accept_completed_with_failures=True.",
)
STALLED = Code(
    "HEVO-707",
    "its job's status leads nowhere",
    "for hours without any change",
    "The job has been in a status that this version does not know, or CANCELLING, for hours without any change.",
    "Look at the job in Hevo. A later version of this package may know the status.",
)

# 8xx: time, and kills

NOT_STARTED_IN_TIME = Code(
    "HEVO-801",
    "time was over before anything was started",
    "when the task's time was over",
    "`timeout` or `execution_timeout` has passed while the task waited: for an active job, for a RESTARTING "
    "pipeline, or for Hevo's limit.",
    "See what it waited for. Give it more time, or start it when the pipeline is free.",
)
NOT_ENDED_IN_TIME = Code(
    "HEVO-802",
    "time was over before the job had ended",
    "had not ended when the task's time was over",
    "`timeout` or `execution_timeout` has passed while the job ran. With `cancel_on_kill` Hevo was asked to "
    "cancel it, if the task has started it.",
    "See in Hevo why the job takes long. Raise `timeout` (seconds) and `execution_timeout`.",
)
SENSOR_TIMED_OUT = Code(
    "HEVO-803",
    "the sensor's time was over",
    "when the sensor's time was over",
    "`timeout` of the sensor has passed, and the job that it waits for has not ended well.",
    "See in Hevo whether the job ran, and raise `timeout` (seconds). With `soft_fail=True` the task is skipped "
    "instead.",
)
KILLED = Code(
    "HEVO-804",
    "the task was killed",
    "The task was killed while it talked to Hevo",
    "Airflow, or the machine, has ended the worker's process.",
    "See the log of the worker. The job that the task has started is cancelled, unless `cancel_on_kill=False`.",
)

# 9xx: what should not happen

UNKNOWN_EVENT = Code(
    "HEVO-901",
    "how its job ended is not known",
    "The trigger sent",
    "The triggerer sent no event, or one that this version does not understand: it may be older or newer than the "
    "worker.",
    "Look at the job in Hevo. Run the same version of this package on workers and triggerers.",
)
NOT_KNOWN = Code(
    "HEVO-902",
    "how its job ended is not known",
    "How the job ended is not known",
    "The wait has ended without word of its job.",
    "Look at the job in Hevo, and report this as a fault of this package.",
)
UNEXPECTED = Code(
    "HEVO-903",
    "an unexpected error",
    "The wait failed by a fault of its own",
    "A fault of this package, or of what it is built on, has ended the task. The job may still run.",
    "Look at the job in Hevo, and report the traceback in the log of the triggerer.",
)

ALL: dict[str, Code] = {code.name: code for code in list(vars().values()) if isinstance(code, Code)}
