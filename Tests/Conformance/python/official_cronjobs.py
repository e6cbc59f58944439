# A program on the official client that lives with CronJobs: typed models both ways, and an operator: a loop on a watch
# that keeps one Job by hand for each CronJob that asks for it, and suspends those that have had enough.

import threading

from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException

from checks import Program, equal, holds, refused, space, until

SPACE = space("official-cronjobs")
program = Program("official client, CronJobs")
config.load_kube_config()
batch = client.BatchV1Api()
core = client.CoreV1Api()
core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=SPACE)))


def model(name, schedule, labels=None, **spec):
    container = client.V1Container(
        name="main", image="busybox:1.36", command=["true"],
        resources=client.V1ResourceRequirements(requests={"cpu": "10m"}))
    pod = client.V1PodTemplateSpec(
        spec=client.V1PodSpec(restart_policy="Never", containers=[container], termination_grace_period_seconds=1))
    template = client.V1JobTemplateSpec(
        metadata=client.V1ObjectMeta(labels={"of": name}), spec=client.V1JobSpec(template=pod, backoff_limit=0))
    return client.V1CronJob(
        api_version="batch/v1", kind="CronJob", metadata=client.V1ObjectMeta(name=name, labels=labels or {}),
        spec=client.V1CronJobSpec(schedule=schedule, job_template=template, **spec))


def read(name):
    return batch.read_namespaced_cron_job(name, SPACE)


def jobs(name):
    return batch.list_namespaced_job(SPACE, label_selector=f"of={name}").items


@program.check("create a CronJob from V1CronJob models, and every field comes back")
def _():
    made = batch.create_namespaced_cron_job(SPACE, model(
        "typed", "0 0 1 1 *", time_zone="Etc/UTC", starting_deadline_seconds=60, concurrency_policy="Forbid"))
    equal((made.kind, made.api_version, made.metadata.generation), ("CronJob", "batch/v1", 1))
    spec = read("typed").spec
    equal((spec.schedule, spec.time_zone, spec.starting_deadline_seconds), ("0 0 1 1 *", "Etc/UTC", 60))
    equal((spec.concurrency_policy, spec.suspend), ("Forbid", False))
    equal((spec.successful_jobs_history_limit, spec.failed_jobs_history_limit), (3, 1))
    equal(spec.job_template.spec.template.spec.containers[0].command, ["true"])
    equal(read("typed").status.active, None)


@program.check("what is no schedule is refused")
def _():
    error = refused(lambda: batch.create_namespaced_cron_job(SPACE, model("bad", "every day")), 422)
    holds("spec.schedule" in error.body, error.body)


@program.check("a run comes, ends, and the CronJob tells of it")
def _():
    batch.create_namespaced_cron_job(SPACE, model("often", "@every 2s"))
    done = until(lambda: read("often").status.last_successful_time and read("often"), "a run has ended")
    holds(done.status.last_schedule_time.tzinfo, "a time with its zone")
    run = jobs("often")[0]
    equal(run.metadata.owner_references[0].name, "often")
    holds(run.metadata.annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"], "a stamp")


class Operator(threading.Thread):
    """Keeps one Job by hand for each CronJob that is labelled `now`, and suspends it when that Job has ended."""

    def __init__(self):
        super().__init__(daemon=True)
        self.error = None
        self.stopped = False

    def run(self):
        try:
            # Each watch begins with what there is: nothing is missed between two.
            while not self.stopped:
                stream = watch.Watch().stream(
                    batch.list_namespaced_cron_job, SPACE, label_selector="now", timeout_seconds=2)
                for event in stream:
                    if event["type"] != "DELETED" and not event["object"].spec.suspend:
                        self.reconcile(event["object"])
        except Exception as error:
            self.error = error

    def reconcile(self, cron):
        name = f"{cron.metadata.name}-now"
        owner = client.V1OwnerReference(
            api_version="batch/v1", kind="CronJob", name=cron.metadata.name, uid=cron.metadata.uid, controller=True,
            block_owner_deletion=True)
        template = cron.spec.job_template
        metadata = client.V1ObjectMeta(
            name=name, labels=template.metadata.labels, owner_references=[owner],
            annotations={"cronjob.kubernetes.io/instantiate": "manual"})
        try:
            batch.create_namespaced_job(SPACE, client.V1Job(metadata=metadata, spec=template.spec))
        except ApiException as error:
            # Told of the same CronJob once more.
            if error.status != 409:
                raise
        until(lambda: batch.read_namespaced_job(name, SPACE).status.succeeded == 1, f"{name} ends")
        batch.patch_namespaced_cron_job(cron.metadata.name, SPACE, {"spec": {"suspend": True}})


@program.check("an operator's loop: a watch tells of CronJobs, their Jobs are made by hand, they are suspended")
def _():
    operator = Operator()
    operator.start()
    names = ["first", "second", "third"]
    for name in names:
        batch.create_namespaced_cron_job(SPACE, model(name, "0 0 1 1 *", labels={"now": "yes"}))
    until(lambda: operator.error or all(read(name).spec.suspend for name in names), "all are suspended")
    operator.stopped = True
    operator.join(60)
    equal(operator.error, None)
    equal(sorted(job.metadata.name for name in names for job in jobs(name)), sorted(f"{name}-now" for name in names))
    until(lambda: read("first").status.last_successful_time, "the run by hand counts as one")


@program.check("its status is a subresource, deleting it deletes its Jobs, and a collection goes at once")
def _():
    status = {"status": {"lastScheduleTime": "2099-01-01T00:00:00Z"}}
    equal(batch.patch_namespaced_cron_job_status("typed", SPACE, status).status.last_schedule_time.year, 2099)
    equal(batch.read_namespaced_cron_job_status("typed", SPACE).metadata.uid, read("typed").metadata.uid)
    batch.delete_namespaced_cron_job("first", SPACE, propagation_policy="Foreground")
    refused(lambda: until(lambda: read("first") and False, "it is gone", 30), 404)
    equal(jobs("first"), [])
    batch.delete_collection_namespaced_cron_job(SPACE, propagation_policy="Background")
    until(lambda: not batch.list_namespaced_cron_job(SPACE).items, "all are gone")
    until(lambda: not batch.list_namespaced_job(SPACE).items, "and all their Jobs")


program.end()
